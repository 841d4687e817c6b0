//! How much of the page is transferred, and how much may be.
//!
//! Builds nothing.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tree;

/// Most that opening a link may transfer (page and engine's worker), most that is the worker's, and most with the
/// planter, in bytes. A little above what BENCHMARKS.md says, because compilers differ. Who has a reason to raise one
/// writes it there.
const MOST: [(&str, u64); 3] =
    [("opening a link", 300_000), ("the engine's worker", 165_000), ("all with the planter", 433_000)];

/// What is transferred, compressed by brotli where a compressed copy lies beside a file; in bytes.
pub(crate) struct Sizes {
    page: u64,
    worker: u64,
    planter: u64,
    /// Everything, uncompressed.
    raw: u64,
}

impl Sizes {
    /// Looks at the files of a page.
    pub(crate) fn of(dist: &Path) -> Self {
        let mut sizes = Self { page: 0, worker: 0, planter: 0, raw: 0 };
        let length = |file: &Path| fs::metadata(file).map_or(0, |m| m.len());
        for file in tree::files(dist) {
            if file.extension().is_some_and(|e| e == "br" || e == "gz") {
                continue;
            }
            let br = with_suffix(&file, ".br");
            let (size, sent) = (length(&file), if br.is_file() { length(&br) } else { length(&file) });
            sizes.raw += size;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            match () {
                () if name.starts_with("planter") => sizes.planter += sent,
                () if name.starts_with("worker") || name.starts_with("engine") => sizes.worker += sent,
                () => sizes.page += sent,
            }
        }
        sizes
    }

    /// Whether each figure is within its bound.
    ///
    /// # Errors
    /// With what grew, and what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        let opening = self.page + self.worker;
        for ((what, most), is) in MOST.into_iter().zip([opening, self.worker, opening + self.planter]) {
            if is > most {
                return Err(format!(
                    "the page has grown: {what} transfers {is} bytes, and {most} are allowed. Make it smaller \
                     (ARCHITECTURE.md, last section), or raise the bound in xtask/src/sizes.rs and say why in BENCHMARKS.md"
                ));
            }
        }
        Ok(())
    }
}

/// "brotli: 290 kB to open a link (page 130 kB, engine's worker 160 kB), 390 kB with the planter; raw 1200 kB".
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kb = |bytes: u64| bytes.div_ceil(1000);
        let opening = self.page + self.worker;
        write!(
            f,
            "brotli: {} kB to open a link (page {} kB, engine's worker {} kB), {} kB with the planter; raw {} kB",
            kb(opening),
            kb(self.page),
            kb(self.worker),
            kb(opening + self.planter),
            kb(self.raw)
        )
    }
}

/// `app.js` becomes `app.js.br`.
pub(crate) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::{MOST, Sizes};

    #[test]
    fn a_page_that_has_grown_is_refused() {
        let small = Sizes { page: 1, worker: 1, planter: 1, raw: 1 };
        assert_eq!(small.check(), Ok(()));
        let grown = Sizes { worker: MOST[1].1 + 1, ..small };
        assert!(grown.check().unwrap_err().contains("worker"));
    }
}
