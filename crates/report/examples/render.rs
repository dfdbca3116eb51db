//! Writes the report of a demo again, without running the demo: `render DEMO_FOLDER`.

use std::path::PathBuf;

use candor_report::About;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: render DEMO_FOLDER")?;
    let about = About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: format!("candor demo --out {}", PathBuf::from(&folder).display()),
    };
    let path = candor_report::write(&PathBuf::from(folder), about)?;
    println!("{}", path.display());
    Ok(())
}
