//! Absolute paths in containers, compared as the kubelet mounts them: `//` and `.` mean nothing, and `..` leads back,
//! whatever symbolic links an image has.

/// Whether a path is spelled in the one plain way: absolute, without empty, `.` or `..` parts.
pub fn is_plain(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|rest| !rest.split('/').any(|part| matches!(part, "" | "." | "..")))
}

/// Whether `path` is `parent` or lies below it.
pub fn is_within(path: &str, parent: &str) -> bool {
    parts(path).starts_with(&parts(parent))
}

/// Whether `path` lies below `parent` and is not the same.
pub fn is_below(path: &str, parent: &str) -> bool {
    below(path, parent).is_some()
}

/// Whether both are the same path.
pub fn is_same(path: &str, other: &str) -> bool {
    parts(path) == parts(other)
}

/// The name, directly below `parent`, that `path` has or lies in; none when `path` is not below.
pub fn below<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    let (path, parent) = (parts(path), parts(parent));
    path.starts_with(&parent).then(|| path.get(parent.len()).copied())?
}

/// How many directories a path leads through.
pub fn depth(path: &str) -> usize {
    parts(path).len()
}

/// What a path consists of.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{is_below, is_plain, is_same, is_within};

    #[test]
    fn a_path_is_within_itself_and_whatever_it_is_below() {
        for (path, parent) in [
            ("/a", "/a"),
            ("/a/b", "/a"),
            ("/a/b/c", "/a"),
            ("/a", "/"),
            ("/", "/"),
            ("/a/", "/a"),
            ("/a", "/a/"),
            ("//a//b", "/a"),
            ("/./a/./b", "//a/."),
            ("/x/../a/b", "/a"),
            ("/a", "/b/../../a/c/.."),
        ] {
            assert!(is_within(path, parent), "{path} within {parent}");
        }
    }

    #[test]
    fn a_sibling_with_a_common_prefix_is_not_within() {
        for (path, parent) in [
            ("/ab", "/a"),
            ("/a", "/ab"),
            ("/a", "/a/b"),
            ("/", "/a"),
            ("/b/a", "/a"),
            ("/a/../b", "/a"),
        ] {
            assert!(!is_within(path, parent), "{path} within {parent}");
        }
    }

    #[test]
    fn the_same_path_is_not_below_itself_however_it_is_spelled() {
        assert!(is_below("/a//b", "/a/"));
        assert!(!is_below("/a/.", "/a"));
        assert!(!is_below("/a", "/a/b"));
        assert!(is_same("/a/./b//", "/a/b"));
        assert!(!is_same("/a/b", "/a"));
    }

    #[test]
    fn a_plain_path_has_one_spelling() {
        for path in ["/a", "/a/b.c/..d"] {
            assert!(is_plain(path), "{path}");
        }
        for path in ["", "a", "/", "/a/", "//a", "/a/./b", "/a/../b", "/.."] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
