//! A mail server for tests: plain TCP, and for each connection an answer from a script. Without one it takes the mail.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Take,
    /// To RCPT TO.
    Recipient(&'static str),
    /// To the mail itself.
    Mail(&'static str),
    /// To the name and the password.
    Login(&'static str),
    /// Takes the mail and says nothing any more.
    TakeAndHang,
    /// Takes the mail and hangs up.
    TakeAndHangUp,
    /// Says nothing from the start.
    Silence,
}

/// A mail as it came over the wire.
#[derive(Debug, Clone)]
pub struct Mail {
    pub hello: String,
    pub login: Option<String>,
    pub from: String,
    pub to: String,
    pub data: String,
}

pub struct Smtp {
    pub port: u16,
    script: Arc<Mutex<VecDeque<Answer>>>,
    mails: Receiver<Mail>,
}

impl Smtp {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(VecDeque::new()));
        let (told, mails) = channel();
        let answers = Arc::clone(&script);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::Take);
                let told = told.clone();
                std::thread::spawn(move || converse(&stream, &answer, &told));
            }
        });
        Self { port, script, mails }
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// What the next connections are answered with.
    pub fn answers(&self, answers: &[Answer]) {
        self.script.lock().unwrap().extend(answers.iter().cloned());
    }

    /// The mails that have come since the last time.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.try_iter().collect()
    }

    /// The next mail, however long it takes.
    pub fn next(&self) -> Mail {
        self.mails.recv_timeout(Duration::from_secs(60)).expect("a mail comes")
    }
}

fn converse(stream: &TcpStream, answer: &Answer, told: &Sender<Mail>) -> Option<()> {
    let mut input = BufReader::new(stream);
    let say = |line: &str| (&*stream).write_all(format!("{line}\r\n").as_bytes()).ok();
    if *answer == Answer::Silence {
        let _ = input.read_to_end(&mut Vec::new());
        return None;
    }
    say("220 mail.example ESMTP")?;
    let mut mail =
        Mail { hello: String::new(), login: None, from: String::new(), to: String::new(), data: String::new() };
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        let word = line.split([' ', ':']).next().unwrap().to_uppercase();
        match (word.as_str(), answer) {
            ("EHLO", _) => {
                line.clone_into(&mut mail.hello);
                say("250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN")?;
            }
            ("AUTH", Answer::Login(refusal)) | ("RCPT", Answer::Recipient(refusal)) => say(refusal)?,
            ("AUTH", _) => {
                mail.login = Some(line.to_owned());
                say("235 welcome")?;
            }
            ("MAIL", _) => {
                line.clone_into(&mut mail.from);
                say("250 ok")?;
            }
            ("RCPT", _) => {
                line.clone_into(&mut mail.to);
                say("250 ok")?;
            }
            ("DATA", _) => {
                say("354 go on")?;
                mail.data = data(&mut input)?;
                if let Answer::Mail(refusal) = answer {
                    say(refusal)?;
                    continue;
                }
                told.send(mail.clone()).ok()?;
                match answer {
                    Answer::TakeAndHang => {
                        let _ = input.read_to_end(&mut Vec::new());
                        return None;
                    }
                    Answer::TakeAndHangUp => return None,
                    _ => say("250 taken")?,
                }
            }
            ("QUIT", _) => return say("221 bye"),
            _ => say("250 ok")?,
        }
    }
}

fn data(input: &mut impl BufRead) -> Option<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

impl Mail {
    /// A header's value, folded lines as one.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}: ", name.to_lowercase());
        head.lines().find(|line| line.to_lowercase().starts_with(&prefix)).map(|line| line[prefix.len()..].to_owned())
    }

    /// The part of this type, decoded.
    pub fn part(&self, media_type: &str) -> String {
        let boundary = self.data.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let delimiter = format!("--{boundary}");
        let mut parts = self.data.split(&delimiter).skip(1);
        let part = parts.find(|part| part.contains(&format!("Content-Type: {media_type}"))).expect(media_type);
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        let body = if head.contains("quoted-printable") { unquoted(body) } else { body.to_owned() };
        assert!(!head.contains("base64"), "{head}");
        body.replace("\r\n", "\n")
    }

    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The secret in the link of the plain text.
    pub fn token(&self) -> String {
        let text = self.text();
        let (_, after) = text.split_once("?token=").expect("a link with a token");
        after.chars().take_while(char::is_ascii_hexdigit).collect()
    }
}

fn unquoted(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let bytes = joined.as_bytes();
    let (mut decoded, mut place) = (Vec::new(), 0);
    while place < bytes.len() {
        if bytes[place] == b'=' && place + 2 < bytes.len() {
            decoded.push(u8::from_str_radix(&joined[place + 1..place + 3], 16).unwrap());
            place += 3;
        } else {
            decoded.push(bytes[place]);
            place += 1;
        }
    }
    String::from_utf8(decoded).unwrap()
}
