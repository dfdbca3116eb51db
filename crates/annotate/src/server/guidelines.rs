//! Guidelines: Markdown as HTML that can do nothing but be read.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};

/// What links may begin with.
const WEB: [&str; 3] = ["https://", "http://", "mailto:"];

/// The Markdown as HTML. Raw HTML is shown as the text that it is, images become the text beside them, and links lead
/// nowhere but to the web.
pub(super) fn html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(markdown, options).filter_map(harmless);
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

fn harmless(event: Event<'_>) -> Option<Event<'_>> {
    Some(match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::Image { .. }) | Event::End(pulldown_cmark::TagEnd::Image) => return None,
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: to_the_web(dest_url),
            title,
            id,
        }),
        event => event,
    })
}

fn to_the_web(url: CowStr<'_>) -> CowStr<'_> {
    if WEB.iter().any(|start| url.starts_with(start)) {
        url
    } else {
        "".into()
    }
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn markup_becomes_text_and_links_lead_to_the_web() {
        assert_eq!(
            html("*a* <b>x</b>"),
            "<p><em>a</em> &lt;b&gt;x&lt;/b&gt;</p>\n"
        );
        assert_eq!(
            html("[x](javascript:alert(1))"),
            "<p><a href=\"\">x</a></p>\n"
        );
        assert_eq!(
            html("[x](https://a.example)"),
            "<p><a href=\"https://a.example\">x</a></p>\n"
        );
        assert_eq!(html("![alt](javascript:x)"), "<p>alt</p>\n");
    }
}
