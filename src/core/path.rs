//! Absolute paths in containers, compared as the kubelet mounts them: `//` and `.` mean nothing, and `..` leads back,
//! whatever symbolic links an image has.

use std::borrow::Cow;

/// Longest path (Linux' `PATH_MAX`).
const MAX: usize = 4096;

/// Whether a path is spelled in the one plain way: absolute, without empty, `.` or `..` parts.
pub fn is_plain(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|rest| !rest.split('/').any(|part| matches!(part, "" | "." | "..")))
}

/// A path in its one plain spelling, which is looked for once: to compare two is to compare texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain<'p>(Cow<'p, str>);

impl<'p> Plain<'p> {
    /// A path as it is mounted or opened; none when it is longer than any that a system opens (Linux' `PATH_MAX`).
    pub fn of(path: &'p str) -> Option<Self> {
        if path.len() > MAX {
            return None;
        }
        if is_plain(path) {
            return Some(Self(Cow::Borrowed(path)));
        }
        let mut plain = String::with_capacity(path.len() + 1);
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => plain.truncate(plain.rfind('/').unwrap_or_default()),
                name => {
                    plain.push('/');
                    plain.push_str(name);
                }
            }
        }
        Some(Self(Cow::Owned(plain)))
    }

    /// Whether it is `parent` or lies below it.
    pub fn is_within(&self, parent: &Plain<'_>) -> bool {
        self.behind(parent).is_some()
    }

    /// The name, directly below `parent`, that it has or lies in; none when it is not below.
    pub fn below(&self, parent: &Plain<'_>) -> Option<&str> {
        self.behind(parent)?.strip_prefix('/')?.split('/').next()
    }

    /// Whether it is the file of this name in a directory.
    pub fn is_file_in(&self, directory: &Plain<'_>, name: &str) -> bool {
        self.behind(directory).and_then(|rest| rest.strip_prefix('/')) == Some(name)
    }

    /// Whether its last parts are these, which begin with a slash.
    pub fn ends_in(&self, parts: &str) -> bool {
        self.0.ends_with(parts)
    }

    /// How many directories it leads through.
    pub fn depth(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'/').count()
    }

    fn behind(&self, parent: &Plain<'_>) -> Option<&str> {
        let rest = self.0.strip_prefix(&*parent.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

/// Whether `path` is `parent` or lies below it.
pub fn is_within(path: &str, parent: &str) -> bool {
    both(path, parent).is_some_and(|(path, parent)| path.is_within(&parent))
}

/// Whether both are the same path.
pub fn is_same(path: &str, other: &str) -> bool {
    both(path, other).is_some_and(|(path, other)| path == other)
}

fn both<'p>(path: &'p str, other: &'p str) -> Option<(Plain<'p>, Plain<'p>)> {
    Plain::of(path).zip(Plain::of(other))
}

#[cfg(test)]
mod tests {
    use super::{Plain, is_plain, is_same, is_within};

    fn is_below(path: &str, parent: &str) -> bool {
        Plain::of(path).unwrap().below(&Plain::of(parent).unwrap()).is_some()
    }

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

    #[test]
    fn what_lies_below_has_a_name_and_a_depth() {
        let plain = |path| Plain::of(path).unwrap();
        assert_eq!(plain("/a//b/../c/d").below(&plain("/a/")), Some("c"));
        assert_eq!(plain("/a").below(&plain("/")), Some("a"));
        assert_eq!(plain("/").below(&plain("/")), None);
        assert_eq!(["/", "/a", "//a/./b/"].map(|path| plain(path).depth()), [0, 1, 2]);
        assert!(plain("/a/./b").is_file_in(&plain("/a"), "b") && !plain("/a/b/c").is_file_in(&plain("/a"), "b"));
        assert!(plain("/b").is_file_in(&plain("/a/.."), "b") && !plain("/ab").is_file_in(&plain("/a"), "b"));
    }

    #[test]
    fn what_no_system_opens_is_nowhere() {
        let long = "/x".repeat(2049);
        assert!(Plain::of(&long).is_none() && Plain::of(&"/x".repeat(2048)).is_some());
        assert!(!is_within(&long, "/") && !is_same(&long, &long));
    }
}
