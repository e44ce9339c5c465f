//! Lines of shell, as far as it takes to find the commands in them.

/// Words that stand before a command and are none of it.
const PREFIXES: &[&str] =
    &["sudo", "-u", "runuser", "exec", "if", "then", "else", "while", "do", "!", "{", "("];

/// The commands of a script, each as its words; here-documents and comments are none.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut ending: Option<String> = None;
    let script = script.replace("\\\n", " ");
    for line in script.lines() {
        if let Some(word) = &ending {
            if line.trim() == word {
                ending = None;
            }
            continue;
        }
        for word in words(line) {
            match word.as_str() {
                ";" => commands.push(Vec::new()),
                _ => {
                    if let Some(word) = word.strip_prefix("<<") {
                        ending = Some(word.trim_matches(['-', '\'', '"']).to_owned());
                    }
                    commands.last_mut().expect("one is begun").push(word);
                }
            }
        }
        commands.push(Vec::new());
    }
    commands.iter().map(|words| stripped(words)).filter(|words| !words.is_empty()).collect()
}

/// Without what only says how it is run.
fn stripped(words: &[String]) -> Vec<String> {
    let mut rest = words;
    while let Some((first, behind)) = rest.split_first() {
        let assignment = first.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
        });
        let user = matches!((first.as_str(), behind.first().map(String::as_str)), ("-u", Some(_)));
        if user {
            rest = &behind[1..];
        } else if assignment || first == "--" || PREFIXES.contains(&first.as_str()) {
            rest = behind;
        } else {
            break;
        }
    }
    rest.to_vec()
}

/// Words of a line without their quotes; `;` for all that ends a command.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), letter) if mark == letter => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => (quote, begun) = (Some(letter), true),
            (None, '#') if !begun => break,
            (None, ';' | '|' | '&' | '(' | ')') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                words.push(";".to_owned());
                begun = false;
            }
            (None, ' ' | '\t') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, letter) => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[test]
fn commands_are_found_behind_pipes_users_and_variables() {
    let script = "A=b sudo -u sidetone sidetone check | jq '.a | .b' # sidetone serve\n\
        cat > f <<'EOF'\nsidetone nonsense\nEOF\nsidetone \\\n  vault show && sidetone demo\n";
    let found: Vec<_> = commands(script).iter().map(|words| words.join(" ")).collect();
    assert_eq!(
        found,
        ["sidetone check", "jq .a | .b", "cat > f <<EOF", "sidetone vault show", "sidetone demo"]
    );
}
