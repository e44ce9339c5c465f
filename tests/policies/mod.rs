//! Policies that make no sense, by what is wrong with them, each with the beginning of its sentence.
#![allow(dead_code, reason = "every test takes what it needs of this")]

/// Two phrases, nine lines, before each of the others' rules.
pub(crate) const PHRASES: &str = "name = 'p'\nversion = '1'\n\
    [[phrase]]\nid = 'a'\ntext = 'one'\n\
    [[phrase]]\nid = 'b'\ntext = 'two'\nparties = ['agent']\n";

/// One rule each.
pub(crate) const RULES: &[(&str, &str)] = &[
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['c']\nwithin_s = 5\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" names the phrase \"c\", which the policy does not have",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['a']\nafter = 'ring'\nwithin_s = 5\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" names the phrase \"ring\", which the policy does not have",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['b']\nparties = ['caller']\nwithin_s = 5\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" waits for \"b\" from the caller, on whose leg it is not watched",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = []\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" needs phrases: the ids of which one is to be said",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['a']\nwithin_s = 0\n",
        "policy.toml, line 10 ([[rule]]): within_s of the rule \"r\" must be above 0 and at most 86400 s, found 0",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'sequence'\nphrases = ['a', 'b']\nwithin_s = -3\n",
        "policy.toml, line 10 ([[rule]]): within_s of the rule \"r\" must be above 0 and at most 86400 s, found -3",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['a']\nwithin_s = 5\nbefore = 'b'\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" has both within_s and before: one of them is its limit",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'sequence'\nphrases = ['a']\n",
        "policy.toml, line 10 ([[rule]]): the sequence \"r\" must have at least 2 phrases, found 1",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'forbidden'\nphrases = ['a']\nwithin_s = 5\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" is of kind forbidden, which has no key within_s",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'consent'\nquestion = ['a']\nassent = ['b']\nwithin_s = 5\n",
        "policy.toml, line 10 ([[rule]]): parties of the consent \"r\" must be the one who asks, [\"agent\"] or [\"caller\"]",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'consent'\nquestion = ['a']\nassent = ['a']\nparties = ['agent']\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" needs within_s: the time for the answer",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" needs at_least (from 1 up) or at_most",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_least = 3\nat_most = 2\n",
        "policy.toml, line 10 ([[rule]]): the rule \"r\" wants at least 3 and at most 2, which nothing is",
    ),
];

/// Words that the file does not have.
pub(crate) const WORDS: &[(&str, &str)] = &[
    (
        "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['a']\nwithin = 5\n",
        "policy.toml, line 14 (within = 5): unknown field `within`",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'wanted'\nphrases = ['a']\n",
        "policy.toml, line 12 (kind = 'wanted'): unknown variant `wanted`",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'count'\nwhen = { queues = ['x'] }\n",
        "policy.toml, line 13 (when = { queues = ['x'] }): unknown field `queues`",
    ),
];

/// Wishes about signals that are none.
pub(crate) const SIGNALS: &[(&str, &str)] = &[
    (
        "[[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_most = 1\nsignal = { info = ['boss'] }\n",
        "policy.toml, line 15 (signal = { info = ['boss'] }): unknown variant `boss`, expected one of `caller`",
    ),
    (
        "[[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_most = 1\nsignal = { states = ['broken'] }\n",
        "policy.toml, line 15 (signal = { states = ['broken'] }): unknown variant `broken`, expected one of `pending`",
    ),
    (
        "[[phrase]]\nid = 'c'\ntext = 'three'\nsignal = { states = ['met'] }\n",
        "policy.toml, line 13 (signal = { states = ['met'] }): unknown field `states`, expected `info` or `log`",
    ),
    (
        "[signal]\nseverity = 'bad'\n",
        "policy.toml, line 11 (severity = 'bad'): unknown variant `bad`, expected one of `info`",
    ),
];

/// Two rules that cannot both be kept.
pub(crate) const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "[[rule]]\nid = 'say'\nkind = 'required'\nphrases = ['a']\nparties = ['agent']\n\
         [[rule]]\nid = 'hush'\nkind = 'forbidden'\nphrases = ['a']\n",
        "policy.toml, line 15 ([[rule]]): the rule \"say\" wants what the rule \"hush\" forbids: \"a\"",
    ),
    (
        "[[rule]]\nid = 'say'\nkind = 'required'\nphrases = ['a']\nwhen = { queue = ['q'] }\n\
         [[rule]]\nid = 'hush'\nkind = 'forbidden'\nphrases = ['a']\n",
        "policy.toml, line 15 ([[rule]]): the rule \"say\" wants what the rule \"hush\" forbids: \"a\"",
    ),
];

/// Names and texts that are none.
pub(crate) const NAMES: &[(&str, &str)] = &[
    (
        "[[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_most = 1\n\
         [[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_most = 1\n",
        "policy.toml, line 15 ([[rule]]): two rules have the id \"r\"",
    ),
    (
        "[[rule]]\nid = 'r s'\nkind = 'count'\nphrases = ['a']\nat_most = 1\n",
        "policy.toml, line 10 ([[rule]]): the rule's id \"r s\"",
    ),
    (
        "[[phrase]]\nid = 'c'\ntext = '...'\n",
        "policy.toml, line 10 ([[phrase]]): the phrase \"c\" holds no word",
    ),
    (
        "[[phrase]]\nid = 'a'\ntext = 'three'\n",
        "policy.toml, line 10 ([[phrase]]): two phrases have the id \"a\"",
    ),
    (
        "[[phrase]]\nid = 'c'\ntext = 'a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q-r-s-t-u-v-w-x-y-z'\n",
        "policy.toml, line 10 ([[phrase]]): the phrase \"c\" cannot be listened for: ",
    ),
];

/// All of them, whole.
pub(crate) fn all() -> impl Iterator<Item = (String, &'static str)> {
    let lists = [RULES, WORDS, SIGNALS, CONTRADICTIONS, NAMES];
    lists.into_iter().flatten().map(|(rules, says)| (format!("{PHRASES}{rules}"), *says))
}
