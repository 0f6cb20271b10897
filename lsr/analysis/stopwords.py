"""Default stop words: English function words; other languages have none.

They are matched before stemming, on normalised words. Words that also carry a topic (*computer*,
*work*, *well*) are no stop words.
"""

from __future__ import annotations

# Determiners, pronouns, prepositions, conjunctions, auxiliaries, adverbs, contractions.
_ENGLISH = """
a an the this that these those each every either neither some any no all both such another

i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself
she her hers herself it its itself they them their theirs themselves
who whom whose which what there

about above after against among around as at before behind below beneath beside besides between
beyond by despite down during for from in inside into near of off on onto out outside over per since
through throughout to toward towards under until up upon via with within without

and but or nor so yet if then else than because although though while whereas whether unless
when where why how

am is are was were be been being have has had having do does did doing done
can cannot could may might must shall should will would ought

not only own same too very just also again further once here more most other few even ever
however therefore thus hence

i'm i've i'd i'll you're you've you'd you'll he's he'd he'll she's she'd she'll it's it'd it'll
we're we've we'd we'll they're they've they'd they'll that's there's here's what's who's where's
how's when's why's let's isn't aren't wasn't weren't hasn't haven't hadn't doesn't don't didn't
won't wouldn't can't couldn't shouldn't mustn't shan't needn't
"""

ENGLISH = frozenset(_ENGLISH.split())
