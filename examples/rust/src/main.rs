//! Loads a BPF object with BTF from a hub: aya relocates against it instead of the kernel's own.
use aya::{Btf, EbpfLoader, Endianness};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(kernel), Some(object)) = (args.next(), args.next()) else {
        return Err("usage: load KERNEL.btf OBJECT.bpf.o".into());
    };
    // Raw BTF only: what `btfhub get` writes unless another format is asked for.
    let btf = Btf::parse_file(kernel, Endianness::default())?;
    let mut bpf = EbpfLoader::new().btf(Some(&btf)).load_file(object)?;
    for (name, program) in bpf.programs_mut() {
        if let aya::programs::Program::RawTracePoint(program) = program {
            program.load()?;
            println!("loaded {name}");
        }
    }
    Ok(())
}
