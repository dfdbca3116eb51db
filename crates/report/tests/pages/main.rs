//! The pages of a small demo, of several and of a measured reward model: whole, well-formed, self-contained, and honest about what is missing.

mod demo;
mod one;
mod reward;
mod seeds;

use candor_report::About;
use quick_xml::Reader;
use quick_xml::events::Event;

fn about() -> About {
    About {
        version: "1.2.3".to_owned(),
        command: "candor demo --out 'a & b'".to_owned(),
    }
}

/// The part of the page from a section's start to its end.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("<section id=\"{id}\"")).expect(id);
    let end = page[start..].find("</section>").unwrap();
    &page[start..start + end]
}

/// Reads the page as XML, in which only HTML's void elements may stay open.
fn check_well_formed(page: &str) {
    const VOID: [&[u8]; 2] = [b"meta", b"img"];
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = false;
    let mut open: Vec<Vec<u8>> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                for attribute in tag.attributes() {
                    attribute.unwrap().unescape_value().unwrap();
                }
                if !VOID.contains(&tag.name().as_ref()) {
                    open.push(tag.name().as_ref().to_vec());
                }
            }
            Event::End(tag) => {
                let last = open.pop().map(|name| String::from_utf8(name).unwrap());
                let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
                assert_eq!(last, Some(name), "at byte {}", reader.buffer_position());
            }
            Event::Text(text) => {
                text.decode().unwrap();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}
