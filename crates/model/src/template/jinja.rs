//! Running a checkpoint's Jinja template as transformers runs it, and no further.
//!
//! A template comes with a checkpoint and is not trusted: it sees the messages and the names of special tokens, and
//! what it may compute and produce is bounded. It has what transformers gives it: trimmed blocks, `break` and
//! `continue`, Python's methods of strings and dictionaries, `raise_exception`, `strftime_now`, `tojson` and the
//! `generation` block around what the assistant says. One thing differs on purpose: `strftime_now` tells a fixed
//! date, since a prompt that changes overnight would make another run of the same recipe.

use std::sync::Arc;
use std::{fmt, io};

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use serde::Serialize as _;

use super::{Rendered, methods};

/// What one rendering may cost: an instruction costs one, and so do 64 bytes of text that is made, or read by a method. This is
/// some hundred times what published templates need for a long conversation.
const FUEL: u64 = 1_000_000;
/// Longest template.
const MAX_SOURCE_BYTES: usize = 1 << 20;
/// Longest text that a template may make.
const MAX_TEXT_BYTES: usize = 8 << 20;
/// Longest format of a date.
const MAX_DATE_BYTES: usize = 1 << 10;
/// Around what a `generation` block says. Unicode promises that these two are never characters.
const MARKS: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];
const NAME: &str = "chat_template";

/// A compiled template.
#[derive(Clone)]
pub(super) struct Program {
    environment: Arc<Environment<'static>>,
    marks_assistant: bool,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles a template; `date` is what `strftime_now` tells.
    ///
    /// # Errors
    /// The source is too long or is no Jinja.
    pub(super) fn compile(source: &str, date: Date) -> Result<Self, String> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(format!(
                "it has {} bytes, more than {MAX_SOURCE_BYTES}",
                source.len()
            ));
        }
        let (source, marks_assistant) = without_generation_tags(source);
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|e| words(&e))?);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(methods::call);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", move |format: &str| {
            strftime(format, date.to_datetime(jiff::civil::Time::midnight()))
        });
        environment.add_filter("tojson", tojson);
        environment.add_filter("generation", |said: &str| {
            format!("{}{said}{}", MARKS[0], MARKS[1])
        });
        environment
            .add_template_owned(NAME, source)
            .map_err(|e| words(&e))?;
        Ok(Self {
            environment: Arc::new(environment),
            marks_assistant,
        })
    }

    /// Whether the template says itself which part is the assistant's.
    pub(super) fn marks_assistant(&self) -> bool {
        self.marks_assistant
    }

    /// Runs the template. The ranges are those of its `generation` blocks.
    ///
    /// # Errors
    /// The template refuses, fails, or takes or makes too much.
    pub(super) fn run(&self, context: Value) -> Result<Rendered, String> {
        let template = self.environment.get_template(NAME);
        let text = template
            .and_then(|template| template.render(context))
            .map_err(|e| words(&e))?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(format!(
                "it makes {} bytes of text, more than {MAX_TEXT_BYTES}",
                text.len()
            ));
        }
        if !self.marks_assistant {
            return Ok(Rendered {
                text,
                assistant: Vec::new(),
            });
        }
        marked(&text)
    }
}

/// Takes the marks out of a text and tells where they were.
fn marked(text: &str) -> Result<Rendered, String> {
    let mut out = Rendered::default();
    let mut begun = None;
    let mut rest = text;
    while let Some(at) = rest.find(MARKS) {
        out.text.push_str(&rest[..at]);
        let opens = rest[at..].starts_with(MARKS[0]);
        match (begun.take(), opens) {
            (None, true) => begun = Some(out.text.len()),
            (Some(start), false) => out.assistant.push((start, out.text.len())),
            _ => {
                return Err(
                    "a `generation` block stands in another, or the text has its marks".to_owned(),
                );
            }
        }
        rest = &rest[at + MARKS[0].len_utf8()..];
    }
    out.text.push_str(rest);
    match begun {
        None => Ok(out),
        Some(_) => Err("a `generation` block does not end".to_owned()),
    }
}

/// The source with transformers' `generation` blocks written as a filter, which the engine knows; and whether there
/// are any.
fn without_generation_tags(source: &str) -> (String, bool) {
    let mut out = String::with_capacity(source.len());
    let (mut rest, mut found) = (source, false);
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else { break };
        let inner = &tag[..end];
        let renamed = match inner.trim_matches(['-', '+']).trim() {
            "generation" => inner.replace("generation", "filter generation"),
            "endgeneration" => inner.replace("endgeneration", "endfilter"),
            _ => continue,
        };
        found = true;
        out.push_str(&renamed);
        rest = &tag[end..];
    }
    out.push_str(rest);
    (out, found)
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("the template says: {message}"),
    ))
}

fn strftime(format: &str, now: DateTime) -> Result<String, Error> {
    if format.len() > MAX_DATE_BYTES {
        let problem = format!("a date is told in more than {MAX_DATE_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidOperation, problem));
    }
    let told = strtime::format(format, now);
    told.map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))
}

/// JSON as Python's `json.dumps` writes it without escaping what is not ASCII.
#[allow(clippy::needless_pass_by_value)] // The engine hands options over by value.
fn tojson(state: &mut State, value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    if ascii == Some(true) {
        let problem = "tojson cannot escape what is not ASCII";
        return Err(Error::new(ErrorKind::InvalidOperation, problem));
    }
    let mut json = Bounded(Vec::new());
    let written = match indent {
        Some(width) => {
            let width = " ".repeat(width.min(16));
            let style = serde_json::ser::PrettyFormatter::with_indent(width.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut json, style,
            ))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut json, OneLine,
        )),
    };
    written.map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))?;
    methods::spend(state, json.0.len())?;
    String::from_utf8(json.0).map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))
}

/// JSON no longer than a template's text may be: a list can hold one text many times over.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT_BYTES {
            let problem = format!("tojson makes more than {MAX_TEXT_BYTES} bytes");
            return Err(io::Error::other(problem));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Python's separators: `, ` and `: `.
struct OneLine;

impl OneLine {
    fn separate<W: ?Sized + std::io::Write>(writer: &mut W, first: bool) -> std::io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }
}

impl serde_json::ser::Formatter for OneLine {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        Self::separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        Self::separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The engine's error on one line, with the line of the template.
fn words(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return "it computes too much (an endless loop, or text that keeps growing)".to_owned();
    }
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn run(source: &str, context: Value) -> Result<Rendered, String> {
        Program::compile(source, jiff::civil::date(2024, 7, 26))?.run(context)
    }

    fn text(source: &str) -> String {
        run(source, context! {}).unwrap().text
    }

    #[test]
    fn blocks_are_trimmed_and_python_s_methods_work() {
        // Jinja2 3.1 with trim_blocks and lstrip_blocks gives these.
        assert_eq!(text("a\n  {% if true %}\nb\n  {% endif %}\nc\n"), "a\nb\nc");
        assert_eq!(text("{{ ' x '.strip().upper() + 'y'.title() }}"), "XY");
        assert_eq!(
            text("{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}"),
            "1"
        );
        assert_eq!(
            text("[{{ nothing }}]{% for x in nothing %}x{% endfor %}"),
            "[]"
        );
        assert_eq!(text("{{ '<b>' }}"), "<b>");
    }

    #[test]
    fn json_is_python_s() {
        let source = "{{ {'b': [1, 2.5, none, true], 'a': '<é>'} | tojson }}";
        assert_eq!(text(source), r#"{"b": [1, 2.5, null, true], "a": "<é>"}"#);
        assert_eq!(
            text("{{ {'a': [1]} | tojson(indent=1) }}"),
            "{\n \"a\": [\n  1\n ]\n}"
        );
    }

    #[test]
    fn today_is_the_date_of_the_template() {
        assert_eq!(text("{{ strftime_now('%d %b %Y') }}"), "26 Jul 2024");
        assert!(run("{{ strftime_now('%') }}", context! {}).is_err());
    }

    #[test]
    fn generation_blocks_say_what_is_the_assistant_s() {
        let source = "{% for x in ['é', 'b'] %}<{%- generation -%} {{ x }} {%- endgeneration -%}>{% endfor %}";
        let out = run(source, context! {}).unwrap();
        assert_eq!(out.text, "<é><b>");
        let said: Vec<_> = out
            .assistant
            .iter()
            .map(|&(a, b)| &out.text[a..b])
            .collect();
        assert_eq!(said, ["é", "b"]);
        let nested = "{% generation %}{% generation %}a{% endgeneration %}{% endgeneration %}";
        assert!(run(nested, context! {}).unwrap_err().contains("in another"));
        let forged = run(
            "{% generation %}{{ x }}{% endgeneration %}",
            context! { x => "\u{FDD1}a" },
        );
        assert!(forged.is_err());
    }

    #[test]
    fn a_refusal_is_told_with_its_line() {
        let refused = run("\n{{ raise_exception('no system') }}", context! {}).unwrap_err();
        assert_eq!(refused, "line 2: the template says: no system");
        assert!(
            run("{% if %}", context! {})
                .unwrap_err()
                .starts_with("line 1")
        );
        assert!(run("{{ a.b.c }}", context! {}).is_err());
    }

    #[test]
    fn a_bomb_runs_out_of_fuel() {
        let bombs = [
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
            "{{ 'a' * 99999999 }}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}",
            "{% set s = 'a' * 1000000 %}{{ s.join('b' * 100000) }}",
            "{% set s = 'a' * 1000000 %}{{ ('{0}' * 100000).format(s) }}",
            "{{ '{:>99999999999}'.format(1) }}",
            "{% set s = 'a' * 1000000 %}{{ ([s] * 90000) | tojson }}",
            "{% set s = 'a' * 4000000 %}{% for i in range(90000) %}{% set x = s.upper() %}{% endfor %}",
            "{% set s = 'a' * 4000000 %}{% for i in range(90000) %}{% set x = s | tojson %}{% endfor %}",
            "{% set s = 'a' * 4000000 %}{{ strftime_now(s) }}",
            "{% set x = [''] * 100000000 %}{% for i in range(50000) %}{% set y = ''.join(x) %}{% endfor %}",
            "{% set x = ['b'] * 100000000 %}{% for i in range(50000) %}{% set y = 'a'.startswith(x) %}{% endfor %}",
            "{% set x = ['b'] * 100000000 %}{% for i in range(50000) %}{% set y = 'a'.endswith(x) %}{% endfor %}",
            "{% set x = [''] * 100000000 %}{% for i in range(50000) %}{% set y = ''.format(x) %}{% endfor %}",
            "{% set s = 'a' * 4000000 %}{% set t = s ~ '' %}{{ [s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s].count(t) }}",
            "{{ ('a' * 16000000).split('') | length }}",
            "{% set s = 'a' * 1000000 %}{{ s.strip('b' * 1000000 ~ 'a') }}",
        ];
        for bomb in bombs {
            assert!(run(bomb, context! {}).is_err(), "{bomb}");
        }
        let long = "{% for i in range(90000) %}{{ 'a' * 100 }}{% endfor %}";
        assert!(run(long, context! {}).is_err());
    }

    #[test]
    fn what_reads_little_costs_little() {
        // The engine itself counts the text that a method is called on, once a call.
        let begins = "{% set s = 'a' * 300000 %}{% for i in range(50) %}\
                      {% if s.startswith('b') or s.endswith(['b', 'c']) %}x{% endif %}{% endfor %}";
        assert_eq!(text(begins), "");
        let dated =
            "{% for i in range(9) %}{{ '20240726 {:>2} 20240726'.format(i)[9:11] }}{% endfor %}";
        assert_eq!(text(dated), " 0 1 2 3 4 5 6 7 8");
    }
}
