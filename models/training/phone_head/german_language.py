"""German: pronunciations by espeak-ng in the symbols of the head, and the texts that are synthesised for training."""

import functools
import random
import re
import subprocess

from language import PHONES, joined

VOWELS = PHONES[PHONES.index("i") :]
# What espeak-ng's German voice says, in our symbols: length goes, close pairs fall together, affricates are split.
ESPEAK = """ts=t.s pf=p.f tʃ=t.ʃ dʒ=d.ʒ aɪ=aɪ aʊ=aʊ ɔø=ɔɪ ɔʏ=ɔɪ ɔɪ=ɔɪ eɪ=e oʊ=o ɑ̃=a.ŋ ɔ̃=ɔ.ŋ ɛ̃=ɛ.ŋ
y=y ʏ=y ø=ø œ=ø ɑ=a æ=ɛ ʌ=a ɒ=ɔ ɜ=ɐ r=R ɾ=R ʁ=R ɹ=R w=v θ=s ð=d ɡ=g ɣ=g ʔ= ʲ= ː= ̃= ̩= -="""
TABLE = {p: p for p in PHONES} | dict(pair.split("=") for pair in ESPEAK.split())


def phones(ipa):
    """Our phones of what espeak-ng writes; words stand two spaces apart. After a vowel and before none, r is ɐ."""
    out = []
    for word in re.split(r"\s{2,}|\n", re.sub(r"\([a-z-]+\)|[ˈˌ]", "", ipa)):
        said = []
        for token in word.split():
            while token:
                size = next((n for n in (3, 2, 1) if token[:n] in TABLE), 0)
                said += TABLE[token[:size]].split(".") if size else []
                token = token[size or 1 :]
        said = [p for p in said if p]
        vowel = [p in VOWELS for p in said]
        for n in range(1, len(said)):
            if said[n] == "R" and vowel[n - 1] and not (n + 1 < len(said) and vowel[n + 1]):
                said[n] = "ɐ"
        out.append(said)
    return out


@functools.cache
def spoken(text):
    command = ["espeak-ng", "-q", "--ipa", "--sep= ", "-v", "de", "--", text]
    return phones(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def label(text):
    """What the head shall say for a German text."""
    return joined(spoken(text))


def phrase_labels(phrase):
    """The ways to say a phrase: with and without the ə of -en after a consonant."""
    whole = [p for word in spoken(phrase) for p in word]
    short = [
        p
        for n, p in enumerate(whole)
        if not (p == "ə" and whole[n + 1 : n + 2] == ["n"] and n and whole[n - 1] not in VOWELS)
    ]
    return [list(way) for way in dict.fromkeys(tuple(joined([way])) for way in (whole, short))]


def plain(text):
    return " ".join(re.sub(r"[^a-zäöüß ]", " ", text.lower()).split())


# --- texts ---------------------------------------------------------------------------------------

TEMPLATES = """
Guten Tag, mein Name ist {first} {last}, was kann ich für Sie tun?
Hier spricht {first} {last} aus {city}, ich rufe wegen meiner Rechnung an.
Bitte nennen Sie mir Ihre Kundennummer, sie steht oben rechts auf dem Brief.
Meine Nummer ist {d} {d} {d} {d} {d} {d}.
Die Postleitzahl lautet {d} {d} {d} {d} {d} {city}.
Das macht zusammen {n} Euro und {date} Cent im Monat.
Ich bin am {date}. {month} neunzehnhundert{year} geboren.
Wir haben am {day} um {hour} Uhr noch einen Termin frei.
Können wir am {day}, dem {date}. {month}, telefonieren?
{thing} ist leider noch nicht bei mir angekommen.
Warum ist {thing} so {how}?
Ich finde das wirklich {how}, Frau {last}.
Herr {last}, haben Sie {object} schon erhalten?
Ich verbinde Sie jetzt mit meiner Kollegin, Frau {last}.
Einen kleinen Moment bitte, ich schaue im System nach.
Die Verbindung ist schlecht, ich kann Sie kaum verstehen.
Könnten Sie das bitte noch einmal wiederholen?
Nein, das habe ich so nicht gesagt.
Ja, das stimmt, genau so ist es.
Ich würde gerne mit Ihrem Vorgesetzten sprechen.
Das ist eine Frechheit, ich werde mich beschweren.
Wir nehmen den Datenschutz sehr ernst.
Ihre personenbezogenen Daten werden nach der Datenschutzgrundverordnung verarbeitet.
Sie können Ihre Einwilligung jederzeit schriftlich widerrufen.
Rechtsgrundlage ist Artikel sechs Absatz eins der Verordnung.
Die Aufzeichnung erfolgt nur mit Ihrer ausdrücklichen Erlaubnis.
Möchten Sie Auskunft über Ihre gespeicherten Daten erhalten?
Die Daten werden nach {date} Tagen automatisch gelöscht.
Der Verantwortliche ist die Firma {last} und Söhne in {city}.
Unsere Datenschutzerklärung finden Sie auf der Webseite.
Darf ich Ihnen dazu ein paar Fragen stellen?
Die Mindestlaufzeit beträgt {date} Monate, danach verlängert es sich um ein Jahr.
Die Kündigungsfrist beträgt {few} Wochen zum Quartalsende.
Wir können Ihnen leider keine Rückzahlung anbieten.
Der Betrag wird am {date}. {month} von Ihrem Konto abgebucht.
Geben Sie mir bitte die letzten Ziffern Ihrer Kontonummer durch.
Die Zinsen liegen derzeit bei {d} Komma {d} Prozent.
Eine Geldanlage ist immer mit Schwankungen verbunden.
Bei diesem Fonds gibt es keine Sicherheit für das eingesetzte Kapital.
Ich habe das Schreiben vom {date}. {month} nicht verstanden.
Haben Sie den Stecker gezogen und wieder eingesteckt?
Der Techniker kommt zwischen {hour} und {hour} Uhr vorbei.
Bei uns ist seit {day} das Internet ausgefallen.
Drücken Sie bitte die Taste {d} auf Ihrem Telefon.
Bitte sprechen Sie nach dem Signalton.
Zurzeit sind alle Plätze besetzt, bitte haben Sie etwas Geduld.
Sie sind der nächste in der Warteschlange.
Der gewünschte Teilnehmer ist momentan nicht erreichbar.
Auf Wiedersehen und einen schönen Tag noch, Herr {last}.
Vielen herzlichen Dank für Ihre Hilfe, Frau {last}.
Es waren einmal zwei Brüder, die lebten in {city} am Fluss.
Der Himmel über {city} war grau und es regnete den ganzen Tag.
Am Abend saßen wir in der Küche und tranken Tee mit Zucker.
Die Kinder spielten im Garten hinter dem alten Haus.
Der Zug nach {city} fährt um {hour} Uhr {date} von Gleis {d} ab.
Im {month} war es hier so heiß, dass die Straßen weich wurden.
Er hat mir nie erzählt, woher er das viele Geld hatte.
Meine Tochter studiert Physik und Chemie in {city}.
Wir brauchen zwölf Eier, ein Pfund Butter und frisches Gemüse.
Die Polizei suchte die ganze Nacht nach dem verschwundenen Fahrzeug.
Ein junger Hund lief über die Brücke und bellte laut.
Ich habe gestern Äpfel, Birnen, Pflaumen und Kirschen gekauft.
Das Buch liegt auf dem Schreibtisch neben der Lampe.
Der Arzt verschrieb ihm Tropfen gegen den Husten.
Jeder Mensch hat das Recht auf freie Meinung.
Die Regierung beschloss gestern ein neues Gesetz.
Das Schiff fuhr langsam durch den Nebel in den Hafen.
Was meinst du, sollen wir ins Kino oder ins Theater gehen?
Sie öffnete die Tür und blickte in einen dunklen Flur.
Zwischen den Bergen liegt ein kleiner blauer See.
Fünf tüchtige Bäcker buken mürbe Brötchen.
Die Sängerin sang ein Lied über die Sehnsucht.
Manchmal frage ich mich, ob das alles so richtig war.
Der Lehrer erklärte uns die Geschichte der Stadt {city}.
Seit {n} Jahren arbeite ich nun schon in dieser Firma.
Ich heiße {first}, buchstabiert {letter} {letter} {letter} {letter}.
Wie schreibt man das, mit {letter} oder mit {letter}?
Die Vertragsnummer ist {letter} {letter} {d} {d} {d}.
Rufen Sie mich bitte unter {d} {d} {d} {d} {d} zurück.
{n} plus {date} ergibt eine ziemlich große Zahl.
Es sind noch {n} Personen vor Ihnen.
Um {hour} Uhr {date} beginnt die Besprechung mit Frau {last}.
Ich bestätige hiermit den Auftrag über {n} Stück.
Wollen Sie die Ware zurückschicken oder umtauschen?
Die Versandkosten übernehmen wir selbstverständlich.
Sie erhalten in den nächsten Tagen eine schriftliche Bestätigung.
Dafür brauchen wir eine Kopie Ihres Ausweises.
Haben Sie sonst noch irgendwelche Wünsche?
Ich lege Ihnen einen Zettel auf den Schreibtisch.
Natürlich, das können wir gerne so machen.
Äh, Moment, ich muss erst meine Brille holen.
Also hören Sie mal, so geht das aber nicht!
Das hat mir Ihr Kollege am Telefon aber anders gesagt.
Unser Gespräch dauert nur wenige Minuten.
Ohne Ihre Unterschrift geht es leider nicht weiter.
Der Strompreis steigt ab {month} um {date} Prozent.
Wechseln Sie jetzt zu einem besseren Anbieter!
Sie sparen jedes Jahr mindestens {n} Euro.
Das Angebot gilt bis zum {date}. {month}.
Überlegen Sie nicht zu lange, Frau {last}.
Garantieren kann ich Ihnen das natürlich nicht.
Wir versuchen, den Schaden so schnell wie möglich zu beheben.
Die Kasse zahlt nur einen Teil der Behandlung.
Wurde der Unfall schon bei der Polizei gemeldet?
Welche Automarke fahren Sie, Herr {last}?
Bringen Sie bitte Ihre Versichertenkarte mit.
Heute scheint die Sonne, aber morgen soll es schneien.
Wir fliegen im {month} für {few} Wochen nach Griechenland.
Das Frühstück gibt es von {hour} bis {hour} Uhr.
Ich hätte gern ein Doppelzimmer mit Blick auf die Berge.
Der Schlüssel liegt beim Nachbarn im dritten Stock.
Zum Geburtstag wünsche ich dir alles Gute, liebe {first}.
Gib mir mal bitte das Salz und den Pfeffer rüber.
Ach so, jetzt verstehe ich, was Sie meinen.
Hm, das weiß ich ehrlich gesagt auch nicht.
Das Konto wurde vor {date} Tagen gesperrt.
Sprechen Sie bitte etwas lauter und deutlicher.
Ich höre Sie leider nur bruchstückhaft.
Welches Betriebssystem benutzen Sie zu Hause?
Klicken Sie oben links auf das kleine Symbol.
Der Drucker zieht kein Papier mehr ein.
Starten Sie den Rechner bitte neu.
"""
SLOTS = {
    "first": """Anna Peter Julia Thomas Sabine Jürgen Katharina Günther Mehmet Ayşe Friederike Wolfgang Björn Charlotte Dieter
Elisabeth Florian Gisela Heinrich Ingrid Johannes Klaus Lieselotte Matthias Nadja Oskar Philipp Quirin
Roswitha Stefan Tanja Ulrich Vera Xaver Yvonne Zacharias""",
    "last": """Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein
Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Lehmann
Köhler Herrmann König Mayer Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn Vogel Friedrich
Günther Keller Schubert Roth Franke Beck Yilmaz Kowalski""",
    "city": """Berlin Hamburg München Köln Frankfurt Stuttgart Düsseldorf Leipzig Dortmund Essen Bremen Dresden Hannover
Nürnberg Duisburg Bochum Wuppertal Bielefeld Bonn Münster Karlsruhe Mannheim Augsburg Wiesbaden Zürich Wien
Salzburg Graz Würzburg Chemnitz Aachen Kiel Lübeck Freiburg Jena Erfurt Rostock Kassel""",
    "month": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "day": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "how": """günstig teuer richtig falsch wichtig nötig möglich unmöglich schwierig einfach fertig gültig ungültig
freundlich unhöflich schnell langsam pünktlich verspätet vollständig""",
    "d": "null eins zwei drei vier fünf sechs sieben acht neun",
    "few": "zwei drei vier fünf sechs acht zehn zwölf sechzehn",
    "year": "zweiundsechzig fünfundvierzig achtundsiebzig einundneunzig siebenunddreißig",
    "letter": "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Ä Ö Ü",
}
THINGS = """der Vertrag|die Rechnung|das Angebot|die Bestellung|der Anschluss|die Lieferung|das Gerät|
die Versicherung|der Tarif|die Unterlagen|das Formular|der Kontostand|die Überweisung|
die Mahnung|das Passwort|die Adresse|der Zählerstand|die Quittung|der Gutschein|die Reparatur"""


def texts(count, seed):
    """Sentences of offices and everyday life, and a quarter as many lists of their words in any order."""
    rng, bag, out = random.Random(seed), [], []
    things = [thing for thing in re.split(r"\||\n", THINGS) if thing]
    choices = {slot: values.split() for slot, values in SLOTS.items()}
    numbers = {"n": (3, 999), "date": (2, 31), "hour": (7, 20)}

    def fill(match):
        slot = match.group(1)
        if slot in numbers:
            return str(rng.randint(*numbers[slot]))
        if slot in ("thing", "object"):
            thing = rng.choice([t for t in things if slot == "thing" or not t.startswith("der")])
            return thing[0].upper() + thing[1:] if slot == "thing" else thing
        return rng.choice(choices[slot])

    while len(out) < count:
        if not bag:
            bag = TEMPLATES.strip().split("\n")
            rng.shuffle(bag)
        out.append(re.sub(r"\{(\w+)\}", fill, bag.pop()))
    known = sorted({w.strip(".,?!") for text in out for w in text.split()})
    lists = [", ".join(rng.choices(known, k=rng.randint(4, 7))) + "." for _ in range(count // 4)]
    return out + lists
