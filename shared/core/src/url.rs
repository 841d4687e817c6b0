//! The little that is looked at in addresses of trackers and hosts.
//!
//! No reader of URLs: whoever opens one has a library's.

/// Scheme, and what follows `://`. By characters, because std's search for strings costs a page 3 kB.
#[must_use]
pub fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    Some((scheme, rest.strip_prefix("//")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_ends_at_its_first_colon() {
        assert_eq!(split_scheme("udp://host:80/a://b"), Some(("udp", "host:80/a://b")));
        assert_eq!(split_scheme("magnet:?xt=urn://"), None);
        assert_eq!(split_scheme("host"), None);
    }
}
