"""Names of sessions: an adjective and an animal, as `casual-bass` (spec/pipelinejobs 1.7)."""

from __future__ import annotations

import secrets
from typing import Final

_ADJECTIVES: Final = """
able agile airy alert amber ample apt arctic artful avid awake azure balmy bold bonny brave breezy bright brisk bubbly
busy calm candid careful caring casual cheery chief chilly civil classic clean clear clever close cloudy coastal cool
copper coral cosmic cozy crafty creamy crimson crisp curious daily dapper daring dear deep deft devoted dewy direct
dusky dusty eager early earnest earthy easy elastic elegant eminent epic equal exact exotic expert fabled fair
faithful famous fancy fast fearless fertile festive fine firm fit fleet floral fluent fluffy fond fragrant frank free
fresh friendly frosty frugal full funny fuzzy gallant gentle genuine gifted giving glad gleaming global glossy golden
good graceful grand grateful great green handy happy hardy hazel healthy hearty helpful honest hopeful humble ideal
intense inviting jaunty jolly jovial joyful jubilant just keen kind kindred lasting lavish leading learned level light
lively living logical loving loyal lucid lucky lunar lush major mature mellow merry mighty mild mindful misty modern
modest moonlit mossy musical mutual native natural neat neutral new nice nimble noble novel oaken open optimal orange
orderly organic patient peaceful pearly pleasant plucky poetic polite popular potent precise prime prompt proper proud
prudent pure quaint quick quiet radiant rapid rare ready real refined regal relaxed renewed resolute rich robust rosy
royal ruby rural rustic safe secure sensible serene settled sharp shining silent silken silver simple sincere skilled
sleek smart smiling smooth snowy sociable soft solar solid sonic sound sparkly splendid spry square stable starry
steady stellar still stirring strong sturdy suave subtle sunlit sunny super superb supple sure swift talented tangy
tender thankful thorough thrifty tidy timely tireless tranquil trim true trusted trusty tuneful unbiased unique upbeat
upright urban useful valiant valid varied vast velvet verdant vibrant vigilant violet vital vivid warm wealthy welcome
well whole wide willing windy wise witty wooden woven young zesty
"""

_ANIMALS: Final = """
addax akita albacore alpaca anchovy anteater antelope ape asp auk avocet baboon badger barbet bass bat bear beaver bee
beetle beluga bison bittern blenny boa boar bobcat bongo bonobo booby bream buck buffalo bullfrog bunny burro bustard
buzzard caiman calf camel canary capybara caracal caribou carp cat catfish cayman cheetah chicken chigger chipmunk
chough cicada civet clam cobra cockatoo cod collie condor coot corgi cougar cow coyote crab crane crappie crayfish
cricket crow cub cuckoo curlew dassie deer dingo dipper doe dog dolphin donkey dormouse dory dove drake drongo duck
duckling dugong dunlin eagle earwig eel egret eider eland elephant elk emu ermine ewe falcon fawn feline ferret finch
firefly flamingo flea fly foal fossa fowl fox frog fulmar gannet gar gator gaur gazelle gecko gelding gerbil gharial
gibbon giraffe glider gnat gnu goat gobbler godwit goose gopher gorilla goshawk grackle grebe griffon grizzly grouper
grouse grubworm guanaco gull guppy haddock hagfish halibut hamster hare harrier hawk hedgehog hen heron herring hippo
hog hoopoe hornbill hornet horse hound hyena hyrax ibex ibis iguana impala jabiru jacana jackal jaguar jay jennet
jerboa joey kakapo katydid kea kestrel kid kingfish kinglet kite kitten kiwi koala kodiak koi krill kudu lacewing
ladybird lamb lamprey langur lapwing lark lemming lemur leopard liger limpet ling linnet lion lizard llama lobster
locust longhorn loon loris lory lynx lyrebird macaque macaw mackerel magpie mako mallard mamba mammoth manatee
mandrill mantaray mantis margay marlin marmoset marmot marten martin mastiff mastodon mayfly meerkat merlin midge mink
minnow mite mole mollusk mongoose monkey moose moray moth mouse mudfish mule mullet muskox muskrat mustang narwhal
newt numbat oarfish ocelot octopus okapi opossum orca oriole oryx osprey ostrich otter owl oyster panda panther
parakeet parrot peacock peafowl pelican penguin perch pheasant pig pigeon pika pike pipit piranha platypus plover
polecat pony poodle porpoise possum prawn puffin pug puma puppy python quagga quail quetzal quokka quoll rabbit
raccoon ram raptor rat raven ray redbird redfish redstart reindeer rhea rhino robin roebuck rook rooster ruff sable
saiga sailfish salmon sambar sandfly sawfish sculpin seagull seahorse seal serval shad shark sheep shepherd shiner
shoebill shrew shrimp skate skink skua skunk skylark sloth slug snail snake snapper snipe sole sparrow spider sponge
squid squirrel starfish starling steed stingray stoat stork sturgeon sunbird sunfish swallow swan swift tadpole tahr
takin tamarin tapir tarpon tarsier teal tench tern terrapin terrier tetra thrush tiger toad tomcat tortoise toucan
treefrog trout tuna turbot turkey turtle umbrette urchin urial vicuna viper vole vulture wallaby walleye walrus
warbler warthog wasp weasel weevil weka whale whelk whippet whiting wigeon wildcat wolf wolffish wombat worm wren
wryneck yaffle yak zander zebra zebu zorilla
"""

ADJECTIVES: Final = tuple(_ADJECTIVES.split())
ANIMALS: Final = tuple(_ANIMALS.split())


def session() -> str:
    """A fresh name, all equally likely; neither word is longer than 8 letters."""
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(ANIMALS)}"
