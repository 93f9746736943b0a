//! The real aya as an oracle: what it makes of an object's CO-RE relocations with a given BTF.
//!
//! Reads lines `OBJECT<TAB>BTF` and prints each instruction that relocation changed, `FUNCTION+BYTES: code C off O imm I`,
//! and why it stopped if it did; then `= done`.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufWriter, Write};

use aya_obj::btf::Btf;
use aya_obj::generated::bpf_insn;
use aya_obj::Object;
use object::Endianness;

const INSTRUCTION_BYTES: usize = 8;

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut objects = HashMap::new();
    let mut kernel = (String::new(), None);
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (object, btf) = line.split_once('\t').unwrap_or((&line, ""));
        if kernel.0 != btf {
            kernel = (
                btf.to_owned(),
                Some(Btf::parse_file(btf, Endianness::default())),
            );
        }
        let parsed = objects
            .entry(object.to_owned())
            .or_insert_with(|| parse(object));
        match (parsed, &kernel.1) {
            (Err(err), _) => writeln!(out, "refused: object: {err}")?,
            (Ok(object), Some(Ok(btf))) => relocate(&mut out, object.clone(), btf)?,
            (_, Some(Err(err))) => writeln!(out, "refused: kernel: {}", chain(err))?,
            (_, None) => unreachable!("a kernel was read for every line"),
        }
        writeln!(out, "= done")?;
        out.flush()?;
    }
    Ok(())
}

fn parse(path: &str) -> Result<Object, String> {
    let bytes = fs::read(path).map_err(|err| err.to_string())?;
    Object::parse(&bytes).map_err(|err| chain(&err))
}

fn relocate(out: &mut impl Write, mut object: Object, kernel: &Btf) -> io::Result<()> {
    let before = instructions(&object);
    if let Err(err) = object.relocate_btf(kernel) {
        writeln!(out, "stopped: {}", chain(&err))?;
    }
    for (place, insn) in instructions(&object) {
        if before.get(&place) != Some(&insn) {
            let (name, at) = place;
            let (code, off, imm) = insn;
            writeln!(out, "{name}+{at}: code {code} off {off} imm {imm}")?;
        }
    }
    Ok(())
}

type Place = (String, usize);

fn instructions(object: &Object) -> BTreeMap<Place, (u8, i16, i32)> {
    let mut found = BTreeMap::new();
    for function in object.functions.values() {
        for (i, insn) in function.instructions.iter().enumerate() {
            let bpf_insn { code, off, imm, .. } = *insn;
            found.insert(
                (function.name.clone(), i * INSTRUCTION_BYTES),
                (code, off, imm),
            );
        }
    }
    found
}

/// An error with all that caused it, on one line.
fn chain(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        text = format!("{text}: {err}");
        cause = err.source();
    }
    text.replace('\n', " ")
}
