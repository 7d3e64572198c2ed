//! What refloop's mails look like.

use super::Report;
use crate::domain::error::{Error, Result};
use crate::engine::letter_words::{examples, render};
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Print a mail as it would be sent to a made-up person; without a name, say which there are
    Preview {
        /// Such as reset_password
        name: Option<String>,
        /// The HTML part instead of the plain text
        #[arg(long)]
        html: bool,
        /// Where links point
        #[arg(long, env = "REFLOOP_PUBLIC_URL", value_name = "URL", default_value = "https://api.example.com")]
        public_url: String,
    },
}

pub fn run(command: &MailCommand) -> Result<Report> {
    let MailCommand::Preview { name, html, public_url } = command;
    let examples = examples();
    let names: Vec<_> = examples.iter().map(|(name, _)| *name).collect();
    let Some(wanted) = name else {
        return Ok(Report::new(json!({ "mails": names }), names.join("\n")));
    };
    let (name, letter) = examples
        .iter()
        .find(|(name, _)| name == wanted)
        .ok_or_else(|| Error::not_found(format!("there is no mail {wanted:?}; there are {}", names.join(", "))))?;
    let mail = render(letter, public_url.trim_end_matches('/'))?;
    let document = json!({ "name": name, "subject": mail.subject, "text": mail.text, "html": mail.html });
    let text = if *html { mail.html } else { format!("Subject: {}\n\n{}", mail.subject, mail.text) };
    Ok(Report::new(document, text))
}
