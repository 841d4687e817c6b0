//! Files and folders of a person as the content of a new torrent: found, put in order, hashed.
//!
//! The torrent's format and rules are `anatomic_core::create`'s; nothing is written here.

use anatomic_core::Metainfo;
use anatomic_core::create::{CreateError, Hasher, Options, Plan, Source};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// How much is read at a time.
const CHUNK: usize = 1024 * 1024;
/// How deep folders may nest.
const MAX_DEPTH: usize = 64;
/// Most files of one torrent.
const MAX_FILES: usize = 500_000;

/// Why no torrent could be made of what a person named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A name that is no text.
    #[error("the name of {0} is not UTF-8; rename it")]
    Name(PathBuf),
    /// Several things were named, and no name for them all.
    #[error("several files need a name for the folder they go into; give one with --name")]
    NeedsName,
    /// More files or folders than a torrent can hold.
    #[error("{0} holds too many files or folders")]
    TooMany(PathBuf),
    /// The torrent's rules refuse it.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The caller wanted no more.
    #[error("interrupted")]
    Interrupted,
}

/// Whether hashing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It ends with [`ContentError::Interrupted`].
    Stop,
}

/// Content that was found and is ready to be hashed.
#[derive(Clone, Debug)]
pub struct Content {
    /// The torrent that it will be.
    pub plan: Plan,
    /// Where each of the plan's files lies, in the plan's order.
    pub files: Vec<PathBuf>,
    /// Symbolic links, sockets and devices that were left out.
    pub left_out: Vec<PathBuf>,
}

impl Content {
    /// Finds what `paths` name: one file, one folder, or several of both that become a folder called `name`.
    /// Symbolic links inside a folder are left out.
    ///
    /// # Errors
    /// What cannot be read or shared, and why.
    pub fn find(paths: &[PathBuf], name: Option<&str>, options: Options) -> Result<Self, ContentError> {
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        let (plan, single) = match paths {
            [path] => {
                let metadata = fs::metadata(path).map_err(|error| io_error(path, error))?;
                let own = name.map_or_else(|| name_of(path), |name| Ok(name.to_owned()))?;
                if metadata.is_dir() {
                    walk(path, &mut Vec::new(), &mut found, &mut left_out)?;
                    (Plan::folder(&own, sources(&found), options)?, None)
                } else {
                    (Plan::file(&own, metadata.len(), options)?, Some(path.clone()))
                }
            }
            paths => {
                let name = name.ok_or(ContentError::NeedsName)?;
                for path in paths {
                    let metadata = fs::metadata(path).map_err(|error| io_error(path, error))?;
                    let mut inside = vec![name_of(path)?];
                    if metadata.is_dir() {
                        walk(path, &mut inside, &mut found, &mut left_out)?;
                    } else {
                        found.push((inside, metadata.len(), path.clone()));
                    }
                }
                (Plan::folder(name, sources(&found), options)?, None)
            }
        };
        let files = match single {
            Some(path) => vec![path],
            None => {
                let mut places: HashMap<_, _> =
                    found.into_iter().map(|(inside, _, path)| (inside, path)).collect();
                plan.sources().iter().filter_map(|source| places.remove(&source.path)).collect()
            }
        };
        Ok(Self { plan, files, left_out })
    }

    /// Reads and hashes everything; `progress` hears how many bytes are done of how many, and says whether to go on.
    /// Blocks.
    ///
    /// # Errors
    /// What cannot be read, or changed its length meanwhile.
    pub fn hash(self, mut progress: impl FnMut(u64, u64) -> Flow) -> Result<Metainfo, ContentError> {
        let of = self.plan.content();
        let lengths: Vec<u64> = self.plan.sources().iter().map(|source| source.length).collect();
        let mut hasher = Hasher::new(self.plan);
        let mut chunk = vec![0; CHUNK];
        for (path, length) in self.files.iter().zip(lengths) {
            let file = File::open(path).map_err(|error| io_error(path, error))?;
            // One byte more than listed shows that a file grows, without reading for ever.
            let mut file = file.take(length.saturating_add(1));
            loop {
                match file.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(count) => hasher.feed(chunk.get(..count).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(io_error(path, error)),
                }
                if progress(hasher.fed(), of) == Flow::Stop {
                    return Err(ContentError::Interrupted);
                }
            }
        }
        Ok(hasher.finish()?)
    }
}

type Found = Vec<(Vec<String>, u64, PathBuf)>;

fn sources(found: &Found) -> Vec<Source> {
    found.iter().map(|(path, length, _)| Source { path: path.clone(), length: *length }).collect()
}

fn walk(
    folder: &Path,
    inside: &mut Vec<String>,
    found: &mut Found,
    left_out: &mut Vec<PathBuf>,
) -> Result<(), ContentError> {
    if inside.len() > MAX_DEPTH {
        return Err(ContentError::TooMany(folder.to_owned()));
    }
    for entry in fs::read_dir(folder).map_err(|error| io_error(folder, error))? {
        let path = entry.map_err(|error| io_error(folder, error))?.path();
        let metadata = fs::symlink_metadata(&path).map_err(|error| io_error(&path, error))?;
        inside.push(name_of(&path)?);
        if metadata.is_dir() {
            walk(&path, inside, found, left_out)?;
        } else if metadata.is_file() {
            if found.len() >= MAX_FILES {
                return Err(ContentError::TooMany(folder.to_owned()));
            }
            found.push((inside.clone(), metadata.len(), path));
        } else {
            left_out.push(path);
        }
        inside.pop();
    }
    Ok(())
}

/// The last part of a path, also of `.` and `..`.
fn name_of(path: &Path) -> Result<String, ContentError> {
    let name = match path.file_name() {
        Some(name) => Some(name.to_owned()),
        None => fs::canonicalize(path).ok().and_then(|path| path.file_name().map(ToOwned::to_owned)),
    };
    name.and_then(|name| name.into_string().ok()).ok_or_else(|| ContentError::Name(path.to_owned()))
}

fn io_error(path: &Path, error: io::Error) -> ContentError {
    ContentError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bed(PathBuf);

    impl Bed {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("anatomic-content-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("album/b")).unwrap();
            fs::write(folder.join("album/z.txt"), b"last").unwrap();
            fs::write(folder.join("album/b/a.txt"), b"first").unwrap();
            fs::write(folder.join("one.bin"), vec![7; 40_000]).unwrap();
            Self(folder)
        }
    }

    impl Drop for Bed {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_a_folder_and_several_of_both_become_torrents() {
        let bed = Bed::new("kinds");
        let make = |paths: &[&str], name| {
            let paths: Vec<_> = paths.iter().map(|path| bed.0.join(path)).collect();
            let mut last = (0, 0);
            let metainfo = Content::find(&paths, name, Options::default())
                .unwrap()
                .hash(|done, of| {
                    last = (done, of);
                    Flow::Continue
                })
                .unwrap();
            assert_eq!(last.0, last.1);
            metainfo
        };
        let file = make(&["one.bin"], None);
        assert_eq!((file.name(), file.files().len(), file.geometry().length()), ("one.bin", 1, 40_000));
        let folder = make(&["album"], None);
        assert_eq!((folder.name(), folder.files().len(), folder.geometry().length()), ("album", 2, 9));
        let both = make(&["album", "one.bin"], Some("all"));
        assert_eq!((both.name(), both.files().len(), both.geometry().length()), ("all", 3, 40_009));
    }

    #[test]
    fn links_are_left_out_and_said() {
        let bed = Bed::new("links");
        std::os::unix::fs::symlink(bed.0.join("album"), bed.0.join("album/again")).unwrap();
        let content = Content::find(&[bed.0.join("album")], None, Options::default()).unwrap();
        assert_eq!((content.files.len(), &content.left_out[..]), (2, &[bed.0.join("album/again")][..]));
    }

    #[test]
    fn a_file_that_grows_and_a_caller_who_stops_end_the_hashing() {
        let bed = Bed::new("changes");
        let path = bed.0.join("one.bin");
        let find = || Content::find(std::slice::from_ref(&path), None, Options::default()).unwrap();
        assert!(matches!(find().hash(|_, _| Flow::Stop), Err(ContentError::Interrupted)));
        let content = find();
        fs::write(&path, vec![7; 50_000]).unwrap();
        let error = content.hash(|_, _| Flow::Continue).unwrap_err();
        assert!(
            matches!(error, ContentError::Create(CreateError::Changed { expected: 40_000, .. })),
            "{error}"
        );
    }

    #[test]
    fn what_is_missing_or_nameless_is_said() {
        let bed = Bed::new("missing");
        let find =
            |paths: &[PathBuf]| Content::find(paths, None, Options::default()).unwrap_err().to_string();
        assert!(find(&[bed.0.join("none")]).contains("none cannot be read"));
        assert!(find(&[bed.0.join("album"), bed.0.join("one.bin")]).contains("--name"));
    }
}
