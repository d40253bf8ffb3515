"""Function words: those that say nothing about the subject of a question. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.index.sqlite.tokenize import fold_case

MIN_FUNCTION_WORD_SHARE = 0.15  # of the words of a text that is in a language
# Written with a capital inside a sentence, as "WHO", "May" and "Will" are as names.
INNER_WORD = re.compile(r"(?<=[^.?!:\s] )\w\w+")
# By language, without accents. Words of a language that are content words in another are told
# apart by the rest of the question.
FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "en": """a about after again all also am an and any are as at be because been before being
            between both but by can could did do does doing down during each else ever few for from
            had has have having he her here hers him his how i if in into is it its itself just let
            many may me might mine more most much must my no nor not now of off on once only or
            other our out over own per please s shall she should so some such t tell than that the
            their them then there these they this those through to too under until up upon us very
            was we were what when where whether which while who whom whose why will with within
            without would yet you your""",
        "de": """aber alle allem allen aller alles als also am an ander andere anderen auch auf aus
            bei beim bin bis bist da damit dann das dass dein dem den denn der deren des dessen die
            dies diese diesem diesen dieser dieses doch du durch ein eine einem einen einer eines
            er es etwa etwas euch euer fur gegen habe haben hat hatte hier hinter ich ihm ihn ihnen
            ihr ihre ihrem ihren ihrer im in ins ist ja jede jedem jeden jeder jedes jetzt kann
            kein keine keinen konnen man mein meine meinem meinen meiner mich mir mit muss mussen
            nach nicht noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit
            sich sie sind so soll sollen um und uns unser unsere unter vom von vor wann war waren
            warum was weil welche welchem welchen welcher welches wem wen wenn wer werden wie wieder
            wieviel will wir wird wo wodurch woher wohin womit zu zum zur zwischen""",
        "fr": """a ai au aucun aucune aussi autre autres aux avec avez avoir avons c ce ceci cela
            celle celles celui ces cet cette ceux chez comme comment d dans de des dois doit doivent
            donc dont du elle elles en entre es est et etait ete etes etre eux fait faut il ils j je
            l la le les leur leurs lors lorsque lui m ma mais me meme mes moi mon n ne ni nos notre
            nous on ont ou par pas peut peuvent peux plus pour pourquoi puis puisque qu quand que
            quel quelle quelles quels qui quoi s sa sans se ses si son sont sous sur t ta te tes toi
            ton tous tout toute toutes tres tu un une vers vos votre vous y""",
        "es": """a al algo ante antes como con cual cuales cuando cuanto cuantos de debe deben debo
            del desde donde durante e el ella ellas ellos en entre era es esa ese eso esta estan
            estas este esto estos fue ha hace han hasta hay la las le les lo los mas me mi mientras
            mis muy ni no nos nosotros o os otra otro para pero por porque puede pueden puedo que
            quien quienes se sea ser si sin sobre son su sus tambien te tiene tienen todo todos tu
            tus un una unas uno unos y ya yo""",
        "it": """a ad ai al alla alle allo anche c che chi ci come con cosa cui da dal dalla dalle
            dei del della delle dello deve devo devono di dopo dove e ed era essere fino fra gli ha
            hanno ho i il in io l la le lei lo loro lui ma mi mia mio ne nei nel nella nelle no noi
            non o ogni per perche piu prima puo qual quale quali quando quanto quella quello questa
            questo qui se sei si sia sono su sua sul sulla suo tra tu tutti tutto un una uno vi voi
            """,
        "pt": """a ao aos as com como da das de dela dele deve devem devo do dos e ela elas ele eles
            em entre era essa esse esta estao este eu foi ha isso isto ja lhe mais mas me meu minha
            muito na nao nas nem no nos nossa nosso o onde os ou para pela pelas pelo pelos pode
            podem por porque posso qual quais quando quanto que quem sao se sem ser seu seus so
            sobre sua suas tambem tem todo todos tu um uma voce""",
        "nl": """aan al alle als andere bij daar dan dat de deze die dit door een en er ga gaat geen
            had heb hebben heeft het hij hoe hun ik in is je jullie kan kunnen maar mag me meer men
            met mijn moet moeten na naar niet nog nu of om omdat onder ons onze ook op over te tot
            u uit uw van veel voor waar waarom wanneer was wat we welk welke wie wij wil worden
            wordt ze zich zij zijn zo zonder""",
    }.items()
}


def guess_language(words: Sequence[str]) -> str:
    """Return the language whose list has the most of a question's words, which are folded."""
    return max(FUNCTION_WORDS, key=lambda code: sum(word in FUNCTION_WORDS[code] for word in words))


def content_words(words: Sequence[str]) -> list[str]:
    """Return a question's words without its function words; all of them if nothing else remains.

    The words are in lower case and without accents.
    """
    known = FUNCTION_WORDS[guess_language(words)]
    return [word for word in words if word not in known] or list(words)


def is_written_in(text: str, language: str, *, rather_than: str) -> bool:
    """Return whether a text is in a language by its function words, rather than in another one."""
    words = fold_case(text).split()
    known = sum(map(FUNCTION_WORDS[language].__contains__, words))
    if known <= MIN_FUNCTION_WORD_SHARE * len(words):
        return False
    return known > sum(word in FUNCTION_WORDS.get(rather_than, ()) for word in words)


def find_names(text: str) -> list[str]:
    """Return the words with a capital that are not at the beginning of a sentence."""
    return [word for word in INNER_WORD.findall(text) if word[0].isupper()]
