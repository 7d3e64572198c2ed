//! The agreement as HTML: what Markdown says, and nothing else. Raw HTML is shown as it was typed.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Headings begin at the third level, below those of the page.
pub fn to_html(markdown: &str) -> String {
    // Without any extension: some of them write styles, which pages may not have.
    let mut is_linked = Vec::new();
    let events = Parser::new_ext(markdown, Options::empty()).filter_map(|event| plain(event, &mut is_linked));
    let mut text = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut text, events);
    text
}

fn plain<'m>(event: Event<'m>, is_linked: &mut Vec<bool>) -> Option<Event<'m>> {
    Some(match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Heading { level, .. }) => {
            Event::Start(Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        // Of a picture its words are left: it would be another site's to load.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => return None,
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let is_safe = leads_somewhere(&dest_url);
            is_linked.push(is_safe);
            if !is_safe {
                return None;
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::End(TagEnd::Link) if is_linked.pop() != Some(true) => return None,
        other => other,
    })
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

/// To a page or a mailbox; never to a script.
fn leads_somewhere(url: &CowStr<'_>) -> bool {
    let url = url.to_ascii_lowercase();
    ["https://", "http://", "mailto:"].iter().any(|scheme| url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::partner::DEFAULT_AGREEMENT;

    #[test]
    fn what_markdown_says() {
        assert_eq!(
            to_html("# A\n\n**b** *c* `d`\n"),
            "<h3>A</h3>\n<p><strong>b</strong> <em>c</em> <code>d</code></p>\n"
        );
        assert_eq!(to_html("1. x\n2. y\n"), "<ol>\n<li>x</li>\n<li>y</li>\n</ol>\n");
        assert_eq!(to_html("#### A\n###### B\n"), "<h6>A</h6>\n<h6>B</h6>\n");
        let shipped = to_html(DEFAULT_AGREEMENT);
        assert!(shipped.contains("<h3>Partner agreement</h3>") && shipped.matches("<li>").count() == 6, "{shipped}");
    }

    #[test]
    fn html_and_scripts_do_not_get_through() {
        for (markdown, html) in [
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
            ("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n"),
            ("<!-- x -->", "<p>&lt;!-- x --&gt;</p>\n"),
            ("[a](javascript:alert(1))", "<p>a</p>\n"),
            ("[a](JaVaScRiPt:alert%281%29) [b](data:text/html,x) [c](/x)", "<p>a b c</p>\n"),
            (
                "[a ![b](https://x.example/y.png)](https://x.example/)",
                "<p><a href=\"https://x.example/\">a b</a></p>\n",
            ),
            (
                "<https://x.example/?a=\"b&c>",
                "<p><a href=\"https://x.example/?a=%22b&amp;c\">https://x.example/?a=\"b&amp;c</a></p>\n",
            ),
            ("[a](mailto:team@example.com)", "<p><a href=\"mailto:team@example.com\">a</a></p>\n"),
            ("| a |\n|:-:|\n| b |", "<p>| a |\n|:-:|\n| b |</p>\n"),
            ("&lt;script&gt;", "<p>&lt;script&gt;</p>\n"),
        ] {
            assert_eq!(to_html(markdown), html, "{markdown}");
        }
    }
}
