//! `candor data convert`: the rows of a file in another format.

use std::time::Instant;

use candor_data::formats::convert::{Conversion, convert};

use crate::arguments::ConvertArguments;

/// Runs the command.
pub fn run(arguments: &ConvertArguments) -> anyhow::Result<()> {
    let conversion = Conversion {
        input: &arguments.file,
        from: arguments.from,
        output: &arguments.out,
        to: arguments.to,
        images: arguments.images.as_deref(),
        embed: arguments.embed,
        strict: arguments.strict,
    };
    let begun = Instant::now();
    let converted = convert(&conversion, &|n_rows, share| {
        let secs = begun.elapsed().as_secs_f64();
        let (rate, left) = (n_rows as f64 / secs, secs / share - secs);
        eprintln!("{n_rows} rows read, {rate:.0} a second, about {left:.0} s left");
    })?;
    println!(
        "{}: {} rows of {}",
        arguments.out.display(),
        converted.rows_written,
        converted.rows_read
    );
    for lost in converted.losses() {
        println!("not carried over: {lost}");
    }
    Ok(())
}
