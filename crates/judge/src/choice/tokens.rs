//! An answer as words and signs, without what only shapes it: emphasis, quotes, LaTeX's commands.

/// A word or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word in lower case, apostrophes and hyphens inside it kept.
    Word(String),
    /// A single Latin letter, in upper case, and whether it was.
    Letter(char, bool),
    /// Words of a script without blanks between them.
    Run(String),
    /// A sign, or the end of a line.
    Sign(char),
}

/// Splits a text. Letters and signs of full width are as those of half width.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().map(narrow).collect();
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let kind = kind(letter);
        let start = at;
        at += 1;
        match kind {
            Kind::Sign => all.push(Token::Sign(letter)),
            Kind::Blank | Kind::Shape => {}
            Kind::Command => at += count(&letters[at..], |c| c.is_ascii_alphabetic()),
            Kind::Run => {
                at += count(&letters[at..], |c| self::kind(c) == Kind::Run);
                all.push(Token::Run(letters[start..at].iter().collect()));
            }
            Kind::Latin => {
                at = end_of_word(&letters, at);
                if let [_, '.', b, '.', ..] = &letters[start..]
                    && b.is_ascii_alphabetic()
                {
                    // "a.m." and "U.S." are words.
                    at = start + 4;
                }
                word(&letters[start..at], &mut all);
            }
        }
    }
    all
}

#[derive(PartialEq, Eq)]
enum Kind {
    Latin,
    Run,
    Sign,
    Blank,
    Shape,
    Command,
}

fn kind(letter: char) -> Kind {
    match letter {
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => Kind::Run,
        '\\' => Kind::Command,
        '*' | '_' | '`' | '"' | '\'' | '’' | '‘' | '“' | '”' | '„' | '«' | '»' | '$' | '#'
        | '~' => Kind::Shape,
        c if c.is_alphanumeric() => Kind::Latin,
        c if c.is_whitespace() && c != '\n' => Kind::Blank,
        _ => Kind::Sign,
    }
}

fn narrow(letter: char) -> char {
    match letter {
        '。' => '.',
        '、' => ',',
        '【' | '「' | '『' => '(',
        '】' | '」' | '』' => ')',
        '\r' => '\n',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(letter as u32 - 0xfee0).unwrap_or(letter),
        c => c,
    }
}

fn count(letters: &[char], holds: impl Fn(char) -> bool) -> usize {
    letters.iter().take_while(|c| holds(**c)).count()
}

/// The end of a word: apostrophes and hyphens between letters belong to it.
fn end_of_word(letters: &[char], mut at: usize) -> usize {
    loop {
        at += count(&letters[at..], |c| kind(c) == Kind::Latin);
        let joined = matches!(letters.get(at), Some('\'' | '’' | '-'))
            && letters.get(at + 1).is_some_and(|c| kind(*c) == Kind::Latin);
        if !joined {
            return at;
        }
        at += 1;
    }
}

fn word(letters: &[char], all: &mut Vec<Token>) {
    match letters {
        [letter] if letter.is_ascii_alphabetic() => {
            let is_upper = letter.is_ascii_uppercase();
            all.push(Token::Letter(letter.to_ascii_uppercase(), is_upper));
        }
        [letter, '\'' | '’', 's' | 'S'] if letter.is_ascii_alphabetic() => {
            word(&letters[..1], all);
            all.push(Token::Word("is".to_owned()));
        }
        _ => {
            let text: String = letters.iter().collect();
            all.push(Token::Word(text.to_lowercase().replace('’', "'")));
        }
    }
}
