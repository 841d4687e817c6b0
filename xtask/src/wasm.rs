//! Reads what a wasm file imports, so that the page is checked before a browser refuses it; leaves out what no browser
//! needs, and renames what the script beside it calls.
//!
//! Reads no instruction.

const HEAD: &[u8] = b"\0asm\x01\0\0\0";
const CUSTOM: u8 = 0;
const IMPORTS: u8 = 2;
const EXPORTS: u8 = 7;

/// The (module, name) pairs that a wasm binary imports.
///
/// # Errors
/// If the bytes are no wasm module.
pub(crate) fn imports(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let imports = sections(bytes)?.into_iter().find(|(id, _)| *id == IMPORTS);
    let imports = imports.map_or(Ok(Vec::new()), |(_, section)| import_section(section))?;
    Ok(imports.into_iter().map(|import| (import.module, import.name)).collect())
}

/// The module without its custom sections: names of functions, who made it, which features it uses. Rust's linker could
/// leave them out, but wasm-bindgen reads them.
///
/// # Errors
/// If the bytes are no wasm module.
pub(crate) fn without_custom_sections(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut kept = HEAD.to_vec();
    for (id, section) in sections(bytes)?.into_iter().filter(|(id, _)| *id != CUSTOM) {
        put_section(&mut kept, id, section);
    }
    Ok(kept)
}

/// The module with other names for what it imports and exports.
///
/// # Errors
/// If the bytes are no wasm module.
pub(crate) fn renamed(bytes: &[u8], name: impl Fn(&str) -> String) -> Result<Vec<u8>, String> {
    let mut all = HEAD.to_vec();
    for (id, section) in sections(bytes)? {
        let mut changed = Vec::new();
        match id {
            IMPORTS => {
                let imports = import_section(section)?;
                put_number(&mut changed, imports.len());
                for import in imports {
                    put_name(&mut changed, &import.module);
                    put_name(&mut changed, &name(&import.name));
                    changed.extend_from_slice(import.what);
                }
            }
            EXPORTS => {
                let exports = export_section(section)?;
                put_number(&mut changed, exports.len());
                for (export, what) in exports {
                    put_name(&mut changed, &name(&export));
                    changed.extend_from_slice(what);
                }
            }
            _ => changed.extend_from_slice(section),
        }
        put_section(&mut all, id, &changed);
    }
    Ok(all)
}

/// Each section: what it is, and its content.
fn sections(bytes: &[u8]) -> Result<Vec<(u8, &[u8])>, String> {
    let mut reader = Reader(bytes.strip_prefix(HEAD).ok_or("not a wasm file")?);
    let mut found = Vec::new();
    while !reader.0.is_empty() {
        let id = reader.byte()?;
        let size = reader.number()?;
        found.push((id, reader.take(size)?));
    }
    Ok(found)
}

struct Import<'a> {
    module: String,
    name: String,
    /// Kind and type, as they stand in the file.
    what: &'a [u8],
}

fn import_section(section: &[u8]) -> Result<Vec<Import<'_>>, String> {
    let mut reader = Reader(section);
    let mut found = Vec::new();
    for _ in 0..reader.number()? {
        let (module, name) = (reader.name()?, reader.name()?);
        let what = reader.0;
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
        let what = &what[..what.len() - reader.0.len()];
        found.push(Import { module, name, what });
    }
    Ok(found)
}

/// Each export's name, and its kind and index as they stand in the file.
fn export_section(section: &[u8]) -> Result<Vec<(String, &[u8])>, String> {
    let mut reader = Reader(section);
    let mut found = Vec::new();
    for _ in 0..reader.number()? {
        let name = reader.name()?;
        let what = reader.0;
        reader.byte()?;
        reader.number()?;
        found.push((name, &what[..what.len() - reader.0.len()]));
    }
    Ok(found)
}

fn put_section(into: &mut Vec<u8>, id: u8, section: &[u8]) {
    into.push(id);
    put_number(into, section.len());
    into.extend_from_slice(section);
}

fn put_name(into: &mut Vec<u8>, name: &str) {
    put_number(into, name.len());
    into.extend_from_slice(name.as_bytes());
}

/// Unsigned LEB128.
fn put_number(into: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
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
    use super::{imports, renamed, without_custom_sections};

    #[test]
    fn only_custom_sections_are_left_out() {
        let module = b"\0asm\x01\0\0\0\x00\x03\x01aZ\x01\x04\x01\x60\0\0\x00\x02\x01b";
        assert_eq!(without_custom_sections(module).unwrap(), b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0");
        assert!(without_custom_sections(b"\0asm\x01\0\0\0\x01\x09").is_err());
    }

    #[test]
    fn imports_and_exports_are_renamed_and_nothing_else() {
        let module =
            b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0a\x01\x03env\x02ff\0\0\x07\x06\x01\x02gg\0\0";
        let short =
            renamed(module, |name| if name == "ff" { "$12".to_owned() } else { "$".to_owned() }).unwrap();
        assert_eq!(
            short,
            b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0b\x01\x03env\x03$12\0\0\x07\x05\x01\x01$\0\0"
        );
        assert_eq!(renamed(module, str::to_owned).unwrap(), module);
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
