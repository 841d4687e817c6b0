//! The demo's content, made by arithmetic on whole numbers: a text, a picture, a sound.
//!
//! Nothing here is read or random, so every machine makes the same bytes.

/// Names and bytes of the files.
pub(super) fn files() -> [(&'static str, Vec<u8>); 3] {
    [("picture.png", picture()), ("readme.txt", TEXT.as_bytes().to_vec()), ("sound.wav", sound())]
}

const TEXT: &str = "\
This is the demo torrent of Anatomic.

If you read this in a browser, its bytes came over WebRTC from a node, and perhaps from
other browsers that have the same page open. Open the link in a second browser and watch
them share. Then drop a file of your own on the page: it is planted, seeded from your tab,
and you get a link like this one to pass on. Any BitTorrent program can take that link's
magnet and download from your browser through the node.

picture.png and sound.wav were computed by the program that seeds them.
";

const WIDTH: u32 = 960;
const HEIGHT: u32 = 600;

/// A Julia set in 64 colours, computed in fixed point.
fn picture() -> Vec<u8> {
    let mut rows = Vec::with_capacity(((WIDTH + 1) * HEIGHT) as usize);
    for y in 0..HEIGHT {
        // The row's filter: none.
        rows.push(0);
        rows.extend((0..WIDTH).map(|x| steps(x, y)));
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(WIDTH.to_be_bytes());
    header.extend(HEIGHT.to_be_bytes());
    // Eight bits, palette, deflate, no interlace.
    header.extend([8, 3, 0, 0, 0]);
    chunk(&mut png, *b"IHDR", &header);
    let palette: Vec<u8> =
        (0..64u8).flat_map(|step| [step.wrapping_mul(4), step / 2 * 5, 60 + step.wrapping_mul(3)]).collect();
    chunk(&mut png, *b"PLTE", &palette);
    chunk(&mut png, *b"IDAT", &zlib_stored(&rows));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// How long a point stays near: 0 to 63.
fn steps(x: u32, y: u32) -> u8 {
    const ONE: i64 = 1 << 24;
    let scaled = |at: u32, size: u32| (i64::from(at) * 2 - i64::from(size)) * 8 * ONE / 5 / i64::from(WIDTH);
    let (mut a, mut b) = (scaled(x, WIDTH), scaled(y, HEIGHT));
    let (real, imaginary) = (-ONE * 4 / 5, ONE * 156 / 1000);
    for step in 0..63 {
        let (aa, bb) = (a * a / ONE, b * b / ONE);
        if aa + bb > 4 * ONE {
            return step;
        }
        (a, b) = (aa - bb + real, 2 * a * b / ONE + imaginary);
    }
    63
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951, section 3.2.4).
fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = bytes.chunks(65_535);
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(at == last));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let crc = crc32(png.get(start..).unwrap_or_default());
    png.extend(crc.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Twenty seconds of a plucked scale: 22,050 samples a second, 16 bits, mono.
fn sound() -> Vec<u8> {
    const RATE: u32 = 22_050;
    // Millihertz, a pentatonic scale up and down.
    const NOTES: [u32; 8] = [220_000, 261_626, 293_665, 329_628, 391_995, 440_000, 391_995, 329_628];
    let note_length = RATE / 2;
    let notes = 40;
    let mut samples = Vec::new();
    for note in 0..notes {
        let pitch = NOTES.get(note % NOTES.len()).copied().unwrap_or(220_000);
        // Karplus and Strong: a string is a ring of noise that is smoothed as it goes round.
        let length = (RATE * 1_000 / pitch) as usize;
        let mut noise = 0x1234_5678u32 + note as u32;
        let mut string: Vec<i32> = (0..length)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                i32::try_from(noise >> 18).unwrap_or(0) - 8_192
            })
            .collect();
        for at in 0..note_length as usize {
            let here = at % length.max(1);
            let next = (here + 1) % length.max(1);
            let (a, b) = (string.get(here).copied().unwrap_or(0), string.get(next).copied().unwrap_or(0));
            samples.push(i16::try_from(a).unwrap_or(0));
            if let Some(place) = string.get_mut(here) {
                *place = (a + b) * 498 / 1_000;
            }
        }
    }
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend(1u16.to_le_bytes());
    wav.extend(1u16.to_le_bytes());
    wav.extend(RATE.to_le_bytes());
    wav.extend((RATE * 2).to_le_bytes());
    wav.extend(2u16.to_le_bytes());
    wav.extend(16u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend(length.to_le_bytes());
    wav.extend(data);
    wav
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sums_are_those_of_the_formats() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert!(zlib_stored(b"Wikipedia").ends_with(&0x11e6_0398u32.to_be_bytes()));
    }

    #[test]
    fn the_picture_has_many_colours_and_the_sound_is_not_silent() {
        let colours: std::collections::HashSet<u8> = (0..WIDTH).map(|x| steps(x, HEIGHT / 3)).collect();
        assert!(colours.len() > 10, "{}", colours.len());
        assert!(sound().chunks(2).skip(100).any(|sample| sample[0] != 0));
    }
}
