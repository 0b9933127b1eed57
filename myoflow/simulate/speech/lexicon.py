"""Lexicon: how the words of the simulated corpora are pronounced, as phones of `phones`."""

from __future__ import annotations

from functools import cache

from myoflow.errors import InputError, did_you_mean

# Written by hand, General American without stress; words are parted by commas.
_WORDS = """
one w ah n, two t uw, three th r iy, four f ao r, five f ay v, six s ih k s, seven s eh v ah n, eight ey t,
nine n ay n, ten t eh n, eleven ih l eh v ah n, twelve t w eh l v, fifteen f ih f t iy n, twenty t w eh n t iy,
thirty th er t iy, forty f ao r t iy, fifty f ih f t iy, first f er s t, second s eh k ah n d, third th er d,
fourth f ao r th, fifth f ih f th, tenth t eh n th, twentieth t w eh n t iy ah th,
monday m ah n d ey, tuesday t uw z d ey, wednesday w eh n z d ey, thursday th er z d ey, friday f r ay d ey,
saturday s ae t er d ey, sunday s ah n d ey, january jh ae n y uw eh r iy, february f eh b y uw eh r iy,
march m aa r ch, april ey p r ah l, may m ey, june jh uw n, july jh uh l ay, august ao g ah s t,
september s eh p t eh m b er, october aa k t ow b er, november n ow v eh m b er, december d ih s eh m b er,
am ey eh m, pm p iy eh m, set s eh t, alarm ah l aa r m, call k ao l, move m uw v, meeting m iy t ih ng,
cancel k ae n s ah l, remind r iy m ay n d, me m iy, wake w ey k, the dh ah, to t uw, on aa n, at ae t, for f ao r,
an ae n, next n eh k s t,
a ah, and ae n d, in ih n, of ah v, with w ih dh, by b ay, near n ih r, under ah n d er, over ow v er, from f r ah m,
into ih n t uw, he hh iy, she sh iy, we w iy, they dh ey, it ih t, his hh ih z, her hh er, our aw er, is ih z,
was w aa z, were w er, can k ae n, will w ih l, not n aa t, no n ow, never n eh v er, then dh eh n, now n aw,
here hh ih r, there dh eh r, again ah g eh n, today t ah d ey, soon s uw n, too t uw, who hh uw, when w eh n,
man m ae n, men m eh n, pan p ae n, ban b ae n, mat m ae t, bat b ae t, pat p ae t, map m ae p, cap k ae p, gap g ae p,
mail m ey l, pale p ey l, bail b ey l, pail p ey l, male m ey l, sail s ey l, sale s ey l, tail t ey l, tale t ey l,
nail n ey l, dale d ey l, boat b ow t, moat m ow t, note n ow t, tote t ow t, coat k ow t, goat g ow t,
bear b eh r, pear p eh r, pair p eh r, mare m eh r, hair hh eh r, hare hh eh r, chair ch eh r,
bill b ih l, pill p ih l, mill m ih l, till t ih l, dill d ih l, hill hh ih l, kill k ih l,
bay b ey, pay p ey, day d ey, say s ey, way w ey, weigh w ey, they're dh eh r,
park p aa r k, bark b aa r k, mark m aa r k, dark d aa r k, cart k aa r t, guard g aa r d,
sun s ah n, son s ah n, sea s iy, see s iy, meat m iy t, meet m iy t, beat b iy t, beet b iy t, feet f iy t,
night n ay t, knight n ay t, right r ay t, write r ay t, light l ay t, white w ay t, bite b ay t, might m ay t,
road r ow d, rode r ow d, load l ow d, toad t ow d, code k ow d, hole hh ow l, whole hh ow l, pole p ow l, bowl b ow l,
mole m ow l, roll r ow l, coal k ow l, goal g ow l, new n uw, knew n uw, do d uw, blue b l uw, blew b l uw,
red r eh d, read r eh d, bed b eh d, dead d eh d, said s eh d, head hh eh d, bread b r eh d,
house hh aw s, mouse m aw s, town t aw n, down d aw n, brown b r aw n, sound s aw n d, ground g r aw n d,
flower f l aw er, flour f l aw er, tower t aw er, power p aw er, hour aw er,
water w ao t er, river r ih v er, father f aa dh er, mother m ah dh er, brother b r ah dh er, sister s ih s t er,
doctor d aa k t er, farmer f aa r m er, baker b ey k er, teacher t iy ch er, king k ih ng, queen k w iy n,
dog d ao g, cat k ae t, horse hh ao r s, hoarse hh ao r s, bird b er d, fish f ih sh, ship sh ih p, sheep sh iy p,
old ow l d, cold k ow l d, gold g ow l d, told t ow l d, sold s ow l d, hold hh ow l d, big b ih g, pig p ih g,
small s m ao l, tall t ao l, ball b ao l, wall w ao l, fall f ao l, long l ao ng, song s ao ng, strong s t r ao ng,
green g r iy n, clean k l iy n, sweet s w iy t, street s t r iy t, good g uh d, wood w uh d, would w uh d, book b uh k,
took t uh k, look l uh k, cook k uh k, made m ey d, maid m ey d, paid p ey d, gave g ey v, came k ey m, game g ey m,
name n ey m, saw s ao, found f aw n d, lost l ao s t, heard hh er d, ate ey t, wait w ey t, weight w ey t, gate g ey t,
late l ey t, bought b ao t, caught k ao t, brought b r ao t, thought th ao t, walked w ao k t, talked t ao k t
"""


@cache
def lexicon() -> dict[str, tuple[str, ...]]:
    """Phones of every known word."""
    entries = (entry.split() for entry in _WORDS.replace("\n", " ").split(","))
    return {word: tuple(rest) for word, *rest in entries}


def pronounce(word: str) -> tuple[str, ...]:
    """Phones of a word. Raises InputError for one that the simulation does not know."""
    found = lexicon().get(word)
    if found is None:
        raise InputError(f"simulated speech: cannot pronounce '{word}'{did_you_mean(word, lexicon())}")
    return found
