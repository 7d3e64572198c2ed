//! Letters in words: subject, plain text and HTML.

use super::{Letter, LetterContent, Milestone};
use crate::domain::error::{Error, Result};
use crate::domain::sharing::base_url;
use askama::Template;

/// A letter as it is read.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Where letters like this one are declined by one request.
    pub unsubscribe_url: Option<String>,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    project_name: &'a str,
    subject: &'a str,
    greeting: &'a str,
    paragraphs: &'a [String],
    action: &'a Option<(&'static str, String)>,
    notes: &'a [String],
    footer: &'a str,
    unsubscribe: &'a Option<String>,
}

#[derive(Template)]
#[template(path = "mail/letter.txt", escape = "none")]
struct Text<'a> {
    greeting: &'a str,
    paragraphs: &'a [String],
    action: &'a Option<(&'static str, String)>,
    notes: &'a [String],
    footer: &'a str,
    unsubscribe: &'a Option<String>,
}

/// What is particular to a letter.
struct Words {
    subject: String,
    paragraphs: Vec<String>,
    action: Option<(&'static str, String)>,
    notes: Vec<String>,
}

/// Puts a letter into words. Links point to the pages at the public address.
pub fn render(letter: &Letter, public_url: &str) -> Result<Rendered> {
    let pages = base_url(public_url, letter.host.as_deref());
    let words = words(letter, &pages);
    let greeting = letter.addressee().map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
    let footer = format!("You get this mail because you have an account at {}.", letter.project_name);
    let unsubscribe = letter.unsubscribe.as_ref().map(|path| format!("{pages}{path}"));
    let Words { subject, paragraphs, action, notes } = &words;
    let unreadable = |fault: askama::Error| Error::internal(format!("a letter does not render: {fault}"));
    let text = Text { greeting: &greeting, paragraphs, action, notes, footer: &footer, unsubscribe: &unsubscribe };
    let html = Html {
        project_name: &letter.project_name,
        subject,
        greeting: &greeting,
        paragraphs,
        action,
        notes,
        footer: &footer,
        unsubscribe: &unsubscribe,
    };
    let (text, html) = (text.render().map_err(unreadable)?, html.render().map_err(unreadable)?);
    Ok(Rendered { subject: words.subject, text, html, unsubscribe_url: unsubscribe })
}

const TAKES_OVER: &str = "You have not confirmed this address before, so somebody else may have signed up with it. With \
    the new password all that they could have set up ends, unless you say that it was you: API keys, a code that \
    waits, and a connection to Stripe.";

fn words(letter: &Letter, pages: &str) -> Words {
    let project = &letter.project_name;
    match &letter.content {
        LetterContent::ConfirmAddress { token } => Words {
            subject: "Confirm your e-mail address".into(),
            paragraphs: vec![format!("Welcome to {project}. Please confirm that this address is yours.")],
            action: Some(("Confirm the address", format!("{pages}/confirm?token={token}"))),
            notes: vec![
                "The link is good for 7 days, and once. Referral codes wait until you have followed it.".into(),
                "If you did not sign up, there is nothing to do.".into(),
            ],
        },
        LetterContent::ResetPassword { token, takes_over } => Words {
            subject: "Choose a new password".into(),
            paragraphs: vec![format!("Somebody, probably you, has asked for a new password at {project}.")],
            action: Some(("Choose a new password", format!("{pages}/reset?token={token}"))),
            notes: vec![
                "The link is good for one hour, and once. Your old password works until you choose a new one.".into(),
                "If it was not you, there is nothing to do: nobody but you has this link.".into(),
            ]
            .into_iter()
            .chain(takes_over.then(|| TAKES_OVER.to_owned()))
            .collect(),
        },
        LetterContent::Milestone { milestone, referee, earned } => {
            let who = referee.as_deref().unwrap_or("Somebody you referred");
            milestone_words(project, pages, *milestone, who, earned.as_deref())
        }
        content => payout_words(project, pages, content),
    }
}

fn payout_words(project: &str, pages: &str, content: &LetterContent) -> Words {
    let (subject, paragraphs) = match content {
        LetterContent::PayoutPaid { amount, .. } => (
            format!("Your payout of {amount} was sent"),
            vec![
                format!("Your payout of {amount} from {project} is on its way to your bank."),
                "Stripe usually takes 2 to 7 business days to deliver it.".into(),
            ],
        ),
        LetterContent::PayoutRefused { amount, reason, .. } => (
            format!("Your payout of {amount} could not be sent"),
            vec![
                format!("Your payout of {amount} from {project} could not be sent: {reason}"),
                "The whole amount is back in your balance; if you owe something, it pays that first.".into(),
            ],
        ),
        LetterContent::PayoutRequested { amount, .. } => (
            format!("You asked for a payout of {amount}"),
            vec![
                format!("We have your request for a payout of {amount} from {project}, and have set the amount aside."),
                "We write again when it is sent.".into(),
            ],
        ),
        _ => (String::new(), Vec::new()),
    };
    let id = match content {
        LetterContent::PayoutRequested { payout, .. }
        | LetterContent::PayoutPaid { payout, .. }
        | LetterContent::PayoutRefused { payout, .. } => payout.as_str(),
        _ => "",
    };
    Words {
        subject,
        paragraphs,
        action: Some(("See your balance", format!("{pages}/dashboard"))),
        notes: vec![format!("Payout {id}. If you did not ask for it, change your password and write to us at once.")],
    }
}

fn milestone_words(project: &str, pages: &str, milestone: Milestone, who: &str, earned: Option<&str>) -> Words {
    let (subject, what) = match milestone {
        Milestone::SignedUp => ("Your code brought somebody in", "signed up with your referral code".to_owned()),
        Milestone::FirstCall => ("A referral made the first API call", "made the first API call".into()),
        Milestone::Active(calls) => ("A referral is an active user", format!("has made {calls} API calls")),
        Milestone::Converted => ("A referral became a customer", "became a customer".into()),
    };
    let mut paragraphs = vec![format!("{who} {what} at {project}.")];
    if let Some(amount) = earned {
        paragraphs.push(format!("You earned {amount}. Your dashboard shows when you can use it."));
    }
    Words {
        subject: subject.into(),
        paragraphs,
        action: Some(("See your referrals", format!("{pages}/dashboard"))),
        notes: Vec::new(),
    }
}

/// One letter of each kind, with made-up people, for who wants to see them.
pub fn examples() -> Vec<(&'static str, Letter)> {
    let (token, payout, amount) =
        ("0123456789abcdef".repeat(4), "po_01example00000".to_owned(), "25.00 USD".to_owned());
    let milestone = |milestone, earned: Option<&str>| LetterContent::Milestone {
        milestone,
        referee: Some("bo***@example.com".into()),
        earned: earned.map(str::to_owned),
    };
    let contents = [
        ("confirm_address", LetterContent::ConfirmAddress { token: token.clone() }),
        ("reset_password", LetterContent::ResetPassword { token, takes_over: false }),
        ("payout_requested", LetterContent::PayoutRequested { payout: payout.clone(), amount: amount.clone() }),
        ("payout_paid", LetterContent::PayoutPaid { payout: payout.clone(), amount: amount.clone() }),
        (
            "payout_refused",
            LetterContent::PayoutRefused { payout, amount, reason: "The bank account is closed.".into() },
        ),
        ("signed_up", milestone(Milestone::SignedUp, Some("500 credits"))),
        ("first_call", milestone(Milestone::FirstCall, Some("500 credits"))),
        ("active", milestone(Milestone::Active(100), Some("1,000 credits"))),
        ("converted", milestone(Milestone::Converted, None)),
    ];
    let letter = |(name, content): (&'static str, LetterContent)| {
        let is_milestone = matches!(content, LetterContent::Milestone { .. });
        let unsubscribe = is_milestone.then(|| "/unsubscribe?account=dev_01example00000&token=0123456789abcdef".into());
        let letter = Letter {
            id: "out_01example00000".into(),
            to: "alice@example.com".into(),
            name: Some("Alice".into()),
            project_name: "Developer API".into(),
            host: None,
            unsubscribe,
            at_ms: 0,
            content,
        };
        (name, letter)
    };
    contents.into_iter().map(letter).collect()
}
