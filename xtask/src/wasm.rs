//! Reads what a wasm file imports, so that the page is checked before a browser refuses it; and leaves out what no
//! browser needs.
//!
//! Reads no instruction.

/// The (module, name) pairs that a wasm binary imports.
///
/// # Errors
/// If the bytes are no wasm module.
pub(crate) fn imports(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut at = bytes.strip_prefix(b"\0asm\x01\0\0\0").ok_or("not a wasm file")?;
    while let Some((&id, rest)) = at.split_first() {
        let mut reader = Reader(rest);
        let size = reader.number()?;
        let section = reader.take(size)?;
        if id == 2 {
            return import_section(section);
        }
        at = reader.0;
    }
    Ok(Vec::new())
}

/// The module without its custom sections: names of functions, who made it, which features it uses. Rust's linker could
/// leave them out, but wasm-bindgen reads them.
///
/// # Errors
/// If the bytes are no wasm module.
pub(crate) fn without_custom_sections(bytes: &[u8]) -> Result<Vec<u8>, String> {
    const HEAD: &[u8] = b"\0asm\x01\0\0\0";
    let mut rest = bytes.strip_prefix(HEAD).ok_or("not a wasm file")?;
    let mut kept = HEAD.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let mut reader = Reader(after);
        let size = reader.number()?;
        reader.take(size)?;
        let (section, next) = rest.split_at(rest.len() - reader.0.len());
        if id != 0 {
            kept.extend_from_slice(section);
        }
        rest = next;
    }
    Ok(kept)
}

fn import_section(section: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut reader = Reader(section);
    let mut found = Vec::new();
    for _ in 0..reader.number()? {
        found.push((reader.name()?, reader.name()?));
        match reader.byte()? {
            0 => drop(reader.number()?), // a function: its type
            1 => {
                reader.byte()?; // a table: element type, limits
                reader.limits()?;
            }
            2 => reader.limits()?,      // a memory
            3 => drop(reader.take(2)?), // a global: type, mutability
            4 => {
                reader.byte()?; // a tag: attribute, type
                reader.number()?;
            }
            kind => return Err(format!("wasm import of unknown kind {kind}")),
        }
    }
    Ok(found)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, String> {
        let (&byte, rest) = self.0.split_first().ok_or("wasm file is cut off")?;
        self.0 = rest;
        Ok(byte)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("wasm file is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Result<usize, String> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|e| e.to_string());
            }
        }
        Err("wasm number is too long".to_owned())
    }

    fn name(&mut self) -> Result<String, String> {
        let size = self.number()?;
        Ok(String::from_utf8_lossy(self.take(size)?).into_owned())
    }

    fn limits(&mut self) -> Result<(), String> {
        let has_maximum = self.byte()? & 1 == 1;
        self.number()?;
        if has_maximum {
            self.number()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{imports, without_custom_sections};

    #[test]
    fn only_custom_sections_are_left_out() {
        let module = b"\0asm\x01\0\0\0\x00\x03\x01aZ\x01\x04\x01\x60\0\0\x00\x02\x01b";
        assert_eq!(without_custom_sections(module).unwrap(), b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0");
        assert!(without_custom_sections(b"\0asm\x01\0\0\0\x01\x09").is_err());
    }

    #[test]
    fn a_function_import_is_found_by_module_and_name() {
        let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0";
        assert_eq!(imports(module).unwrap(), [("env".to_owned(), "f".to_owned())]);
    }

    #[test]
    fn a_cut_off_file_is_an_error() {
        assert!(imports(b"\0asm\x01\0\0\0\x02\x09\x01").is_err());
        assert!(imports(b"html").is_err());
    }
}
