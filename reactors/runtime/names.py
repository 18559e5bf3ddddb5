"""Names for sessions: an adjective and an animal (spec/pipelinejobs 1.7)."""

from __future__ import annotations

import secrets

_ADJECTIVES_TEXT = (
    "able active agile airy alert amber ample apt ardent awake basic bold brave breezy brief bright brisk broad calm candid"
    " careful casual cheerful civil clean clear clever cool cosy crisp curious daring deep deft direct eager early earnest"
    " easy even exact fair fast fine firm fleet fluent fond frank free fresh frugal gentle glad golden good graceful grand"
    " green handy happy hardy hearty helpful honest humble jolly jovial joyful keen kind large lasting lean light lively"
    " loyal lucid lucky mellow merry mild modest neat nimble noble novel open orderly patient plain playful pleasant"
    " polite precise prompt proper proud prudent quick quiet rapid rare ready robust rosy round rural rustic sensible"
    " serene sharp shiny silent silver simple sincere sleek smart smiling smooth snug sober social soft solid sound speedy"
    " spry stable steady still stout strong sturdy subtle sunny sure swift tall tame tender thorough tidy tranquil true"
    " trusty upbeat upright useful valiant vast vital vivid warm watchful wide willing wise witty worthy young zesty"
)
_ANIMALS_TEXT = (
    "adder alpaca ant antelope baboon badger bat bear beaver bee beetle bison boar buffalo bug camel canary carp"
    " cat cheetah chough clam cobra cod condor coot coral cow coyote crab crane cricket crow cuckoo deer dingo dog dolphin"
    " donkey dormouse dove duck eagle eel egret elephant elk emu falcon ferret finch fox frog gannet gazelle gecko gibbon"
    " giraffe gnu goat goose gopher gorilla grebe grouse gull hare hawk hedgehog heron herring hippo hornet horse hyena"
    " ibex ibis iguana impala jackal jackdaw jaguar jay kestrel kite kiwi koala lark lemming lemur leopard linnet lion"
    " lizard llama lobster locust lynx macaw magpie mallard manatee marlin marmot marten merlin mink mole mongoose moose"
    " moth mouse mule narwhal newt ocelot octopus opossum orca oriole osprey ostrich otter owl ox oyster panda parrot"
    " pelican penguin perch pheasant pig pigeon pike plover polecat pony porpoise puffin puma python quail rabbit"
    " raccoon raven redstart reindeer rhino robin rook salmon sardine seal seahorse shark sheep shrew shrimp skua skunk"
    " skylark sloth slug snail snake snipe sparrow spider squid squirrel starling stoat stork swallow swan swift tapir"
    " tern thrush tiger toad tortoise toucan trout tuna turkey turtle viper vulture walrus warbler wasp weasel whale"
    " whelk wigeon wolf wombat wren yak zebra"
)
_LONGEST = 8
_ADJECTIVES, _ANIMALS = (
    [word for word in text.split() if len(word) <= _LONGEST] for text in (_ADJECTIVES_TEXT, _ANIMALS_TEXT)
)


def nickname() -> str:
    """Two words of at most eight letters each, such as `casual-bass`, picked at random."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_ANIMALS)}"
