//! Whatever names a torrent and people paste: magnet, planted link, short link, bare info-hash, address of a torrent file.
//!
//! Says what it is; following it is the driver's business. The link's form is in `PROTOCOL.md`.

use super::{Magnet, MagnetError, info_hash, unescape};
use crate::ids::InfoHash;
use crate::url::split_scheme;
use std::fmt;
use std::str::FromStr;

/// Text that names a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A magnet, or a bare info-hash made into one.
    Magnet(Magnet),
    /// `https://HOST/#magnet:?…`: opens in a tab, and is a magnet for every other client.
    Planted {
        /// Scheme and host of the page, without a slash at the end: `https://host:port`.
        origin: String,
        /// What follows `#`.
        magnet: Magnet,
    },
    /// `https://HOST/t/INFOHASH`: that host's supernode knows the rest.
    Short {
        /// Scheme and host of the supernode, without a slash at the end: `https://host:port`.
        origin: String,
        /// The v1 info-hash.
        info_hash: InfoHash,
    },
    /// Any other HTTP address: perhaps of a torrent file.
    Url(String),
}

/// Why text names no torrent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It is none of the forms.
    #[error("neither a link, nor a magnet, nor an info-hash")]
    Unknown,
    /// It is or carries a magnet that cannot be used.
    #[error(transparent)]
    Magnet(#[from] MagnetError),
}

impl Link {
    /// Reads any of the forms.
    ///
    /// # Errors
    /// Why it is none of them, or why the magnet in it cannot be used.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if text.len() > super::MAX_LENGTH {
            return Err(MagnetError::TooLong.into());
        }
        if let Some(info_hash) = info_hash(text) {
            return Ok(Self::Magnet(Magnet::new(info_hash)));
        }
        if starts_with(text, "magnet:") {
            return Ok(Self::Magnet(Magnet::parse(text)?));
        }
        if !starts_with(text, "http://") && !starts_with(text, "https://") {
            return Err(LinkError::Unknown);
        }
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (origin, path) = split(address).ok_or(LinkError::Unknown)?;
        // Chat programs like to escape what follows `#`.
        let unescaped = (!starts_with(fragment, "magnet:?")).then(|| unescape(fragment));
        let fragment = unescaped.as_deref().unwrap_or(fragment);
        if starts_with(fragment, "magnet:") {
            return Ok(Self::Planted { origin: origin.to_owned(), magnet: Magnet::parse(fragment)? });
        }
        if let Some(hash) = path.strip_prefix("/t/") {
            let info_hash = info_hash(hash.trim_end_matches('/')).ok_or(MagnetError::BadInfoHash)?;
            return Ok(Self::Short { origin: origin.to_owned(), info_hash });
        }
        Ok(Self::Url(text.to_owned()))
    }

    /// The magnet of the link; that of a short link has only the info-hash. `None` for an address.
    #[must_use]
    pub fn magnet(&self) -> Option<Magnet> {
        match self {
            Self::Magnet(magnet) | Self::Planted { magnet, .. } => Some(magnet.clone()),
            Self::Short { info_hash, .. } => Some(Magnet::new(*info_hash)),
            Self::Url(_) => None,
        }
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magnet(magnet) => magnet.fmt(f),
            Self::Planted { origin, magnet } => write!(f, "{origin}/#{magnet}"),
            Self::Short { origin, info_hash } => write!(f, "{origin}/t/{info_hash}"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

fn starts_with(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Cuts an HTTP address into scheme with host, and path without query.
fn split(address: &str) -> Option<(&str, &str)> {
    let host = split_scheme(address)?.0.len() + "://".len();
    let end = address.get(host..)?.find(['/', '?']).map_or(address.len(), |at| host + at);
    let (origin, path) = address.split_at_checked(end)?;
    if end == host || origin.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    Some((origin, path.split('?').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";

    #[test]
    fn every_form_is_told_apart() {
        let hash = InfoHash::from_hex(HEX).unwrap();
        let magnet = Magnet { name: Some("a b".to_owned()), ..Magnet::new(hash) };
        assert_eq!(Link::parse(HEX).unwrap(), Link::Magnet(Magnet::new(hash)));
        assert_eq!(Link::parse(&magnet.to_string()).unwrap(), Link::Magnet(magnet.clone()));
        for origin in ["https://host.example", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            let planted = Link::Planted { origin: origin.to_owned(), magnet: magnet.clone() };
            assert_eq!(Link::parse(&planted.to_string()).unwrap(), planted);
            let short = Link::Short { origin: origin.to_owned(), info_hash: hash };
            assert_eq!(Link::parse(&short.to_string()).unwrap(), short);
        }
        let url = "https://host.example/files/x.torrent?a=1";
        assert_eq!(Link::parse(url).unwrap(), Link::Url(url.to_owned()));
    }

    #[test]
    fn a_planted_link_cut_before_magnet_is_a_magnet() {
        let link = format!("https://host.example/#magnet:?xt=urn:btih:{HEX}&dn=x");
        let (_, magnet) = link.split_once('#').unwrap();
        assert_eq!(Some(Magnet::parse(magnet).unwrap()), Link::parse(&link).unwrap().magnet());
    }

    #[test]
    fn an_escaped_fragment_is_understood() {
        let link = format!("https://host.example/#magnet%3A%3Fxt%3Durn%3Abtih%3A{HEX}");
        assert!(matches!(Link::parse(&link), Ok(Link::Planted { .. })));
    }

    #[test]
    fn other_text_is_refused_with_its_reason() {
        assert_eq!(Link::parse("hello"), Err(LinkError::Unknown));
        assert_eq!(Link::parse("https://"), Err(LinkError::Unknown));
        assert_eq!(Link::parse("magnet:?dn=x"), Err(MagnetError::NoInfoHash.into()));
        assert_eq!(Link::parse("https://host/t/123"), Err(MagnetError::BadInfoHash.into()));
        assert_eq!(Link::parse("https://host/#magnet:?xt=urn:btih:12"), Err(MagnetError::BadInfoHash.into()));
    }
}
