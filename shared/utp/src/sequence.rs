//! Numbers of packets: 16 bits on the wire, 64 here, so that nothing inside wraps.
//!
//! Only the arithmetic.

/// The number nearest to `about` whose lowest 16 bits are `wire`; `None` if that is below zero.
pub(crate) fn expand(about: u64, wire: u16) -> Option<u64> {
    let distance = wire.wrapping_sub(about as u16) as i16;
    about.checked_add_signed(i64::from(distance))
}

/// The number as it goes over the wire.
pub(crate) const fn on_wire(number: u64) -> u16 {
    number as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_number_is_meant() {
        for (about, wire, meant) in [
            (70_000, on_wire(70_003), Some(70_003)),
            (70_000, on_wire(69_997), Some(69_997)),
            (65_535, 0, Some(65_536)),
            (65_536, 65_535, Some(65_535)),
            (3, 65_535, None),
            (40_000, on_wire(40_000 + 32_767), Some(72_767)),
            (40_000, on_wire(40_000 - 32_768), Some(7_232)),
        ] {
            assert_eq!(expand(about, wire), meant, "{about} {wire}");
        }
    }
}
