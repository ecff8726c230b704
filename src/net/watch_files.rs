//! Files that are read again when their content changes.
//!
//! By content, not by notification: a mounted Secret or ConfigMap is swapped by renaming a directory, which watches on the files
//! miss. By hash, because a key should not lie around in memory, nor many files twice.

use anyhow::{Context, ensure};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Some files, and what they come to.
pub trait Files: Send + Sync + 'static {
    /// What they come to.
    type Content: Send + 'static;

    /// Most bytes of all of them together.
    const MAX_BYTES: u64;

    /// Where they are, in an order that does not change.
    ///
    /// # Errors
    /// When that cannot be told.
    fn paths(&self) -> anyhow::Result<Vec<PathBuf>>;

    /// Makes something of their bytes. They come one after the other, so that not all need to be in memory; an error names the file.
    ///
    /// # Errors
    /// When they cannot be read or used.
    fn load(&self, files: impl Iterator<Item = anyhow::Result<(PathBuf, Vec<u8>)>>) -> anyhow::Result<Self::Content>;
}

/// Files that are looked at again and again.
pub struct Watched<F> {
    files: Arc<F>,
    interval: Duration,
    loaded: u64,
}

impl<F: Files> Watched<F> {
    /// Reads the files for the first time; they are looked at once in every `interval`.
    ///
    /// # Errors
    /// As [`Files::load`].
    pub fn open(files: F, interval: Duration) -> anyhow::Result<(Self, F::Content)> {
        let (loaded, content) = load(&files);
        let files = Arc::new(files);
        let watched = Self {
            files,
            interval,
            loaded,
        };
        Ok((watched, content?))
    }

    /// The files.
    pub fn files(&self) -> &F {
        &self.files
    }

    /// Waits until the content is another one, and the same at two looks: several files are not written at once, nor is a large
    /// one. What it comes to, which can be an error. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// As [`Files::load`]; the same trouble is told once.
    pub async fn changed(&mut self) -> anyhow::Result<F::Content> {
        let mut before = self.loaded;
        loop {
            sleep(self.interval).await;
            let files = Arc::clone(&self.files);
            // Only a runtime that shuts down does not answer.
            let Ok(seen) = spawn_blocking(move || look(&*files)).await else {
                continue;
            };
            if seen == self.loaded || seen != before {
                before = seen;
                continue;
            }
            let files = Arc::clone(&self.files);
            if let Ok((loaded, content)) = spawn_blocking(move || load(&*files)).await {
                self.loaded = loaded;
                return content;
            }
        }
    }
}

/// The hash of what the files hold, or of why they cannot be read.
fn look<F: Files>(files: &F) -> u64 {
    let mut print = DefaultHasher::new();
    read(files, &mut print).for_each(drop);
    print.finish()
}

/// The same, with what it comes to.
fn load<F: Files>(files: &F) -> (u64, anyhow::Result<F::Content>) {
    let mut print = DefaultHasher::new();
    let mut all = read(files, &mut print);
    let content = files.load(&mut all);
    // Files behind the first bad one count as well.
    all.for_each(drop);
    (print.finish(), content)
}

fn read<'a, F: Files>(
    files: &'a F,
    print: &'a mut DefaultHasher,
) -> impl Iterator<Item = anyhow::Result<(PathBuf, Vec<u8>)>> + use<'a, F> {
    let (paths, unknown) = match files.paths() {
        Ok(paths) => (paths, None),
        Err(error) => (Vec::new(), Some(Err(error))),
    };
    let mut left = F::MAX_BYTES;
    let all = paths.into_iter().map(move |path| {
        let bytes = read_at_most(&path, left)?;
        left -= bytes.len() as u64;
        Ok((path, bytes))
    });
    unknown.into_iter().chain(all).inspect(|file| match file {
        Ok(file) => file.hash(print),
        Err(error) => format!("{error:#}").hash(print),
    })
}

/// The bytes of a file.
///
/// # Errors
/// When it cannot be read, or has more than `limit`; says which file.
pub fn read_at_most(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.with_context(|| path.display().to_string())?;
    ensure!(
        bytes.len() as u64 <= limit,
        "{}: more than {limit} bytes",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;
    use tokio::time::timeout;

    const INTERVAL: Duration = Duration::from_secs(1);

    /// Two files whose numbers have to be equal.
    struct Pair(TempDir);

    impl Pair {
        fn of(one: &str, other: &str) -> Self {
            let pair = Self(tempfile::tempdir().unwrap());
            pair.write(one, other);
            pair
        }

        fn places(&self) -> [PathBuf; 2] {
            ["one", "other"].map(|name| self.0.path().join(name))
        }

        fn write(&self, one: &str, other: &str) {
            for (path, text) in self.places().iter().zip([one, other]) {
                fs::write(path, text).unwrap();
            }
        }
    }

    impl Files for Arc<Pair> {
        type Content = String;

        const MAX_BYTES: u64 = 16;

        fn paths(&self) -> anyhow::Result<Vec<PathBuf>> {
            Ok(self.places().into())
        }

        fn load(&self, files: impl Iterator<Item = anyhow::Result<(PathBuf, Vec<u8>)>>) -> anyhow::Result<String> {
            let mut texts = Vec::new();
            for file in files {
                texts.push(String::from_utf8(file?.1)?);
            }
            ensure!(texts[0] == texts[1], "{} is not {}", texts[0], texts[1]);
            Ok(texts.remove(0))
        }
    }

    fn open(one: &str) -> (Arc<Pair>, Watched<Arc<Pair>>) {
        let pair = Arc::new(Pair::of(one, one));
        let (watched, content) = Watched::open(Arc::clone(&pair), INTERVAL).unwrap();
        assert_eq!(content, one);
        (pair, watched)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_happens_until_the_content_is_another() {
        let (pair, mut watched) = open("1");
        pair.write("1", "1");
        assert!(timeout(INTERVAL * 10, watched.changed()).await.is_err());
        pair.write("2", "2");
        assert_eq!(watched.changed().await.unwrap(), "2");
        fs::remove_file(&pair.places()[1]).unwrap();
        let error = watched.changed().await.unwrap_err();
        assert!(format!("{error:#}").contains("other: No such file"), "{error:#}");
        pair.write("2", "2");
        assert_eq!(watched.changed().await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_told_once_and_another_again() {
        let (pair, mut watched) = open("1");
        pair.write("1", "2");
        assert_eq!(watched.changed().await.unwrap_err().to_string(), "1 is not 2");
        assert!(timeout(INTERVAL * 10, watched.changed()).await.is_err());
        pair.write("1", "3");
        assert_eq!(watched.changed().await.unwrap_err().to_string(), "1 is not 3");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_being_written_is_waited_for() {
        let (pair, mut watched) = open("1");
        let writer = Arc::clone(&pair);
        let writing = tokio::spawn(async move {
            for i in 2..40 {
                writer.write(&i.to_string(), "being written");
                sleep(INTERVAL * 3 / 4).await;
            }
            writer.write("done", "done");
        });
        let content = watched.changed().await;
        writing.await.unwrap();
        assert_eq!(content.unwrap(), "done");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_is_not_read() {
        let (pair, mut watched) = open("1");
        pair.write("0123456789", "0123456789");
        let error = watched.changed().await.unwrap_err().to_string();
        assert!(error.ends_with("other: more than 6 bytes"), "{error}");
    }
}
