//! Makes a torrent from files: lays them out, hashes what it is fed, writes the metainfo.
//!
//! Opens no file: a driver lists them, then feeds their bytes in the order of [`Plan::sources`]. The same files and
//! options give the same torrent, byte for byte, wherever it is made.

use crate::bencode::Item;
use crate::collections::BTreeMap;
use crate::geometry::Geometry;
use crate::ids::Sha1Hash;
use crate::metainfo::{self, Metainfo, MetainfoError};
use crate::paths;
use bytes::Bytes;
use sha1::{Digest as _, Sha1};

/// Longest torrent file that other programs are sure to read.
const MAX_TORRENT: usize = 10_000_000;

/// Whether files are aligned to pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Padding {
    /// Files follow each other without a gap.
    #[default]
    None,
    /// Pad files of zeros let every file start with a piece ([BEP 47]): a file shared by two torrents then has the
    /// same pieces in both.
    ///
    /// [BEP 47]: https://www.bittorrent.org/beps/bep_0047.html
    Aligned,
}

/// Whether peers may come from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Privacy {
    /// Trackers, DHT, peer exchange.
    #[default]
    Public,
    /// Trackers only ([BEP 27]).
    ///
    /// [BEP 27]: https://www.bittorrent.org/beps/bep_0027.html
    Private,
}

/// What may be chosen about a new torrent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Bytes of a piece; `None`: [`piece_length_for`] the size.
    pub piece_length: Option<u32>,
    /// Pad files between the files.
    pub padding: Padding,
    /// Restrict peers to trackers.
    pub privacy: Privacy,
    /// Announce URLs in tiers.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds.
    pub web_seeds: Vec<String>,
    /// A remark for people.
    pub comment: Option<String>,
    /// The program's name and version.
    pub created_by: Option<String>,
    /// Seconds since 1970; left out unless given, so that equal content gives an equal file.
    pub creation_date: Option<u64>,
}

/// A file to be put into a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path inside the torrent's folder; empty for the one file of a single-file torrent.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
}

/// Why no torrent can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There are no files, or all are empty.
    #[error("there is nothing to share: no file has any content")]
    Empty,
    /// A name that not every system can store or show.
    #[error("the name `{0}` cannot be stored on every system; rename it")]
    Name(String),
    /// The same path twice, or a path that is also a folder.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// The piece length asked for cannot be used.
    #[error("the piece length must be a power of two from 16 KiB to 256 MiB, not {0}")]
    PieceLength(u32),
    /// Too many pieces or files for a torrent file that others read.
    #[error("the torrent file would be larger than 10 MB; choose longer pieces or fewer files")]
    TooLarge,
    /// More or fewer bytes were fed than the files had when they were listed.
    #[error("a file changed its length while it was read: expected {expected} bytes, got {found}")]
    Changed {
        /// Bytes of all files as listed.
        expected: u64,
        /// Bytes fed.
        found: u64,
    },
    /// The finished torrent breaks a limit of the reader.
    #[error(transparent)]
    Metainfo(#[from] MetainfoError),
}

/// A good piece length for so many bytes: the power of two that gives about 1,000 to 2,000 pieces, within 16 KiB and
/// 16 MiB. Short pieces let peers share sooner, few pieces keep the torrent and the `have` messages small.
#[must_use]
pub fn piece_length_for(length: u64) -> u32 {
    let wanted = length.div_ceil(2_048).clamp(16 * 1024, 16 * 1024 * 1024);
    u32::try_from(wanted).map_or(16 * 1024 * 1024, u32::next_power_of_two)
}

/// How the files of a new torrent lie, before they are read.
#[derive(Clone, Debug)]
pub struct Plan {
    name: String,
    /// In the order of the torrent.
    sources: Vec<Source>,
    folder: bool,
    geometry: Geometry,
    options: Options,
}

impl Plan {
    /// A torrent of one file.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn file(name: &str, length: u64, options: Options) -> Result<Self, CreateError> {
        Self::new(name, vec![Source { path: Vec::new(), length }], options, false)
    }

    /// A torrent of a folder. Files may come in any order; they are sorted by path.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn folder(name: &str, mut sources: Vec<Source>, options: Options) -> Result<Self, CreateError> {
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        // A folder sorts right before what is in it, so a name used as file and as folder shows here too.
        for (one, other) in sources.iter().zip(sources.iter().skip(1)) {
            if other.path.starts_with(&one.path) {
                return Err(CreateError::Twice(one.path.join("/")));
            }
        }
        for source in &sources {
            let broken = source.path.iter().find(|element| !is_safe(element));
            if source.path.is_empty() || source.path.len() > metainfo::MAX_LEVELS || broken.is_some() {
                let name = broken.cloned().unwrap_or_else(|| source.path.join("/"));
                return Err(CreateError::Name(name));
            }
        }
        Self::new(name, sources, options, true)
    }

    fn new(name: &str, sources: Vec<Source>, options: Options, folder: bool) -> Result<Self, CreateError> {
        if !is_safe(name) {
            return Err(CreateError::Name(name.to_owned()));
        }
        let content = sources.iter().fold(0u64, |sum, source| sum.saturating_add(source.length));
        if content == 0 {
            return Err(CreateError::Empty);
        }
        let piece_length = options.piece_length.unwrap_or_else(|| piece_length_for(content));
        if !piece_length.is_power_of_two() || !(16 * 1024..=256 * 1024 * 1024).contains(&piece_length) {
            return Err(CreateError::PieceLength(piece_length));
        }
        let mut plan = Self {
            name: name.to_owned(),
            sources,
            folder,
            // Replaced below, once the pads are counted.
            geometry: Geometry::new(0, piece_length).ok_or(CreateError::PieceLength(piece_length))?,
            options,
        };
        let length = plan.sources.iter().enumerate().fold(0u64, |sum, (at, source)| {
            sum.saturating_add(source.length)
                .saturating_add(plan.pad_after(at, sum.saturating_add(source.length)))
        });
        plan.geometry = Geometry::new(length, piece_length).ok_or(CreateError::TooLarge)?;
        if plan.geometry.pieces() as usize > MAX_TORRENT / 20 {
            return Err(CreateError::TooLarge);
        }
        Ok(plan)
    }

    /// The files in the order in which their bytes are to be fed.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The pieces that will be hashed, pad files included.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Bytes of all files without padding: what is to be fed.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.sources.iter().map(|source| source.length).sum()
    }

    /// Zeros that follow file `at`, which ends at byte `end`.
    fn pad_after(&self, at: usize, end: u64) -> u64 {
        let is_last = at + 1 >= self.sources.len();
        let piece = u64::from(self.geometry.piece_length());
        match self.options.padding {
            Padding::Aligned if !is_last && self.sources.get(at).is_some_and(|file| file.length > 0) => {
                end.next_multiple_of(piece) - end
            }
            _ => 0,
        }
    }

    /// The torrent, from the SHA-1 of each of its pieces.
    ///
    /// # Errors
    /// [`CreateError::TooLarge`], or [`CreateError::Metainfo`] if the number of hashes is not that of the pieces.
    pub fn finish(&self, hashes: &[Sha1Hash]) -> Result<Metainfo, CreateError> {
        let mut info: BTreeMap<Vec<u8>, Item> = BTreeMap::new();
        let mut set = |key: &str, value: Item| info.insert(key.into(), value);
        set("name", Item::from(self.name.as_str()));
        set("piece length", Item::from(u64::from(self.geometry.piece_length())));
        set("pieces", Item::from(hashes.as_flattened()));
        if self.options.privacy == Privacy::Private {
            set("private", Item::Integer(1));
        }
        if self.folder {
            set("files", Item::List(self.entries()));
        } else {
            set("length", Item::from(self.geometry.length()));
        }
        let info = Bytes::from(Item::Dict(info).to_bytes());
        let options = &self.options;
        let metainfo = Metainfo::from_info(info, options.trackers.clone(), options.web_seeds.clone())?
            .with_remarks(options.comment.as_deref(), options.created_by.as_deref(), options.creation_date);
        if metainfo.to_torrent().len() > MAX_TORRENT {
            return Err(CreateError::TooLarge);
        }
        Ok(metainfo)
    }

    /// The entries of `files`, pads included.
    fn entries(&self) -> Vec<Item> {
        let mut entries = Vec::new();
        let mut end = 0u64;
        for (at, source) in self.sources.iter().enumerate() {
            let path = Item::list(source.path.iter().map(String::as_str));
            entries.push(Item::dict([("length", Item::from(source.length)), ("path", path)]));
            end += source.length;
            let pad = self.pad_after(at, end);
            if pad > 0 {
                let path = Item::list([".pad".to_owned(), pad.to_string()]);
                let attr = Item::from("p");
                entries.push(Item::dict([("attr", attr), ("length", Item::from(pad)), ("path", path)]));
            }
            end += pad;
        }
        entries
    }
}

/// Whether a name survives the reader unchanged.
fn is_safe(name: &str) -> bool {
    paths::sanitise(name.as_bytes()).is_some_and(|safe| safe == name)
}

/// Hashes the bytes of a plan's files as they are fed, in chunks of any size.
pub struct Hasher {
    plan: Plan,
    hashes: Vec<Sha1Hash>,
    sha1: Sha1,
    /// Bytes in the piece that is being hashed.
    in_piece: u32,
    /// Bytes of the torrent so far, pads included, and content alone.
    at: u64,
    fed: u64,
    /// The file that is being fed, and how much of it is missing.
    file: usize,
    missing: u64,
}

impl Hasher {
    /// Starts with the first file.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let missing = plan.sources.first().map_or(0, |source| source.length);
        let hashes = Vec::with_capacity(plan.geometry.pieces() as usize);
        let mut hasher =
            Self { plan, hashes, sha1: Sha1::new(), in_piece: 0, at: 0, fed: 0, file: 0, missing };
        hasher.pass_finished_files();
        hasher
    }

    /// Content bytes fed so far: progress out of [`Plan::content`].
    #[must_use]
    pub const fn fed(&self) -> u64 {
        self.fed
    }

    /// Takes the next bytes; a chunk may reach over the end of a file into the next.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        self.fed += bytes.len() as u64;
        while !bytes.is_empty() && self.file < self.plan.sources.len() {
            let take = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
            let Some((now, later)) = bytes.split_at_checked(take) else { return };
            self.hash(now);
            self.missing -= now.len() as u64;
            bytes = later;
            self.pass_finished_files();
        }
    }

    /// The torrent, once every byte was fed.
    ///
    /// # Errors
    /// [`CreateError::Changed`] if there were more or fewer bytes than planned; otherwise as [`Plan::finish`].
    pub fn finish(mut self) -> Result<Metainfo, CreateError> {
        let expected = self.plan.content();
        if self.fed != expected {
            return Err(CreateError::Changed { expected, found: self.fed });
        }
        if self.in_piece > 0 {
            self.hashes.push(self.sha1.finalize_reset().into());
        }
        self.plan.finish(&self.hashes)
    }

    /// Adds the pad of every file that is complete and goes on to the next.
    fn pass_finished_files(&mut self) {
        while self.missing == 0 && self.file < self.plan.sources.len() {
            let pad = self.plan.pad_after(self.file, self.at);
            let zeros = [0; 4096];
            let mut left = usize::try_from(pad).unwrap_or(0);
            while left > 0 {
                let now = left.min(zeros.len());
                self.hash(zeros.get(..now).unwrap_or_default());
                left -= now;
            }
            self.file += 1;
            self.missing = self.plan.sources.get(self.file).map_or(0, |source| source.length);
        }
    }

    fn hash(&mut self, mut bytes: &[u8]) {
        self.at += bytes.len() as u64;
        let piece = self.plan.geometry.piece_length();
        while !bytes.is_empty() {
            let take = bytes.len().min((piece - self.in_piece) as usize);
            let Some((now, later)) = bytes.split_at_checked(take) else { return };
            self.sha1.update(now);
            bytes = later;
            // `take` is at most a piece, which fits 32 bits.
            self.in_piece += u32::try_from(take).unwrap_or(0);
            if self.in_piece == piece {
                self.hashes.push(self.sha1.finalize_reset().into());
                self.in_piece = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metainfo::FileKind;

    fn source(path: &str, length: u64) -> Source {
        Source { path: path.split('/').map(str::to_owned).collect(), length }
    }

    fn make(plan: Plan, content: &[u8], chunk: usize) -> Metainfo {
        let mut hasher = Hasher::new(plan);
        content.chunks(chunk).for_each(|bytes| hasher.feed(bytes));
        hasher.finish().unwrap()
    }

    #[test]
    fn order_of_files_and_size_of_chunks_change_nothing() {
        let content: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        let files = vec![source("b/1", 40_000), source("a", 60_000), source("b/0", 0)];
        let mut reversed = files.clone();
        reversed.reverse();
        let one = make(Plan::folder("t", files, Options::default()).unwrap(), &content, 1);
        let other = make(Plan::folder("t", reversed, Options::default()).unwrap(), &content, 99_999);
        assert_eq!(one.to_torrent(), other.to_torrent());
        let paths: Vec<_> = one.files().iter().map(|file| file.path.join("/")).collect();
        assert_eq!(paths, ["t/a", "t/b/0", "t/b/1"]);
        assert_eq!(one.piece_hash(crate::PieceIndex(0)), Some(Sha1::digest(&content[..16_384]).into()));
        assert_eq!(Metainfo::from_torrent(&one.to_torrent()).unwrap(), one);
    }

    #[test]
    fn padding_lets_every_file_start_with_a_piece() {
        let options = Options { padding: Padding::Aligned, ..Options::default() };
        let files = vec![source("a", 20_000), source("b", 0), source("c", 16_384), source("d", 5)];
        let content = vec![7; 36_389];
        let made = make(Plan::folder("t", files, options).unwrap(), &content, 1_000);
        for file in made.files().iter().filter(|file| file.length > 0 && file.kind == FileKind::Content) {
            assert_eq!(file.offset % 16_384, 0, "{:?}", file.path);
        }
        assert_eq!(made.files().iter().filter(|file| file.kind == FileKind::Pad).count(), 1);
        let mut second = vec![7; 20_000 - 16_384];
        second.resize(16_384, 0);
        assert_eq!(made.piece_hash(crate::PieceIndex(1)), Some(Sha1::digest(&second).into()));
    }

    #[test]
    fn options_are_written_and_read_back() {
        let options = Options {
            piece_length: Some(32_768),
            privacy: Privacy::Private,
            trackers: vec![vec!["http://a/announce".into()], vec!["wss://b/".into(), "udp://c:1".into()]],
            web_seeds: vec!["http://w/file".into()],
            comment: Some("hello".into()),
            created_by: Some("Anatomic".into()),
            creation_date: Some(1_700_000_000),
            ..Options::default()
        };
        let made = make(Plan::file("f.bin", 40_000, options.clone()).unwrap(), &[1; 40_000], 7_777);
        let read = Metainfo::from_torrent(&made.to_torrent()).unwrap();
        assert_eq!(read, made);
        assert!(read.is_private());
        assert_eq!((read.trackers(), read.web_seeds()), (&options.trackers[..], &options.web_seeds[..]));
        assert_eq!((read.geometry().piece_length(), read.geometry().pieces()), (32_768, 2));
        let torrent = made.to_torrent();
        let text = torrent.escape_ascii().to_string();
        assert!(text.contains("7:comment5:hello10:created by8:Anatomic13:creation datei1700000000e"));
    }

    #[test]
    fn what_cannot_be_shared_is_refused_by_name() {
        use CreateError::*;
        let folder = |files| Plan::folder("t", files, Options::default()).err();
        assert_eq!(folder(vec![]), Some(Empty));
        assert_eq!(folder(vec![source("a", 0)]), Some(Empty));
        assert_eq!(folder(vec![source("a", 1), source("a", 1)]), Some(Twice("a".into())));
        assert_eq!(folder(vec![source("a/b", 1), source("a", 1)]), Some(Twice("a".into())));
        assert_eq!(folder(vec![source("a/../b", 1)]), Some(Name("..".into())));
        assert_eq!(Plan::file("a/b", 1, Options::default()).err(), Some(Name("a/b".into())));
        for wrong in [0, 1, 16_383, 48 * 1024, 1 << 29] {
            let options = Options { piece_length: Some(wrong), ..Options::default() };
            assert_eq!(Plan::file("a", 1, options).err(), Some(PieceLength(wrong)));
        }
        let small = Options { piece_length: Some(16_384), ..Options::default() };
        assert_eq!(Plan::file("a", 1 << 40, small).err(), Some(TooLarge));
    }

    #[test]
    fn a_file_that_changed_its_length_is_noticed() {
        let plan = || Plan::file("a", 10, Options::default()).unwrap();
        for found in [9, 11] {
            let mut hasher = Hasher::new(plan());
            hasher.feed(&vec![0; found]);
            assert_eq!(hasher.finish(), Err(CreateError::Changed { expected: 10, found: found as u64 }));
        }
    }

    #[test]
    fn piece_lengths_grow_with_the_content() {
        for (length, piece) in [
            (1, 16 * 1024),
            (32 << 20, 16 * 1024),
            (256 << 20, 128 * 1024),
            (4u64 << 30, 2 << 20),
            (u64::MAX, 16 << 20),
        ] {
            assert_eq!(piece_length_for(length), piece);
        }
    }
}
