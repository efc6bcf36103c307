"""The words of COPA: what people do and what becomes of it, by theme; two themes never explain each other.

A script is a cause and an effect, each with its wordings, which go on after the name of somebody; `{h}` is
that person's "her" or "his", `{o}` "her" or "him", `{p}` "she" or "he".
"""
# ruff: noqa: E501 -- one half of a script a line

OPENINGS = ("", "", "", "{On Monday, On Friday, On Sunday, Last night, This morning, Yesterday, Last week} ")
PEOPLE = (
    "the baker", "the barber", "the coach", "the cook", "the doctor", "the driver", "the farmer", "the gardener",
    "the judge", "the landlord", "the mayor", "the nurse", "the painter", "the plumber", "the postman", "the teacher",
    "the vicar", "the waiter", "my cousin", "my neighbour",
)  # fmt: skip
Script = tuple[str, str]
THEMES: tuple[tuple[Script, ...], ...] = (
    (  # broken things
        (
            "dropped the {vase, plate, bottle} on the floor|let the {vase, plate, bottle} slip|knocked the {vase, plate, bottle} off the table",
            "swept up the broken glass|picked up the pieces|glued the pieces together",
        ),
        (
            "kicked the ball through the window|threw a stone at the window|hit the window with a ladder",
            "had to pay for new glass|covered the hole in the window with paper|said sorry to the owner of the house",
        ),
    ),
    (  # the weather
        (
            "walked home in the rain without an umbrella|was caught in a storm|stood in the rain for an hour",
            "hung {h} wet coat over a chair|was wet to the skin|put on dry socks",
        ),
        (
            "saw that it was snowing|heard that snow was on the way|found the street white with snow",
            "got the sledge out|cleared the path with a shovel|put on thick boots and a scarf",
        ),
        (
            "lay in the sun all day|fell asleep on the beach|forgot {h} hat on a hot day",
            "had a red nose|rubbed cream on {h} burned skin|looked for some shade",
        ),
    ),
    (  # food and drink
        (
            "left the {cake, bread, pie} in the oven too long|forgot the {cake, bread, pie} in the oven|baked the {cake, bread, pie} for two hours",
            "threw away the black crust|opened the kitchen to let out the smoke|had to start the baking again",
        ),
        (
            "had eaten nothing all day|missed breakfast and lunch|had an empty stomach",
            "ate three bowls of soup|was very hungry at supper|ordered a large meal",
        ),
        (
            "put too much salt in the soup|mixed up the salt and the sugar|spilled salt into the soup",
            "drank a lot of water after the soup|made a face at the first spoon|left the soup untouched",
        ),
    ),
    (  # health
        (
            "slipped on the ice|fell down the stairs|fell off a ladder",
            "broke {h} leg|walked with a stick for weeks|had {h} leg in plaster",
        ),
        (
            "ate too many sweets|never brushed {h} teeth|bit on a hard nut",
            "had a toothache|went to see the dentist|had a tooth pulled",
        ),
        (
            "caught a cold|sat next to a boy with a cough|had a fever",
            "stayed in bed with hot tea|sneezed all day|took some pills for a sore throat",
        ),
        (
            "cut {h} finger with a knife|pricked {h} finger on a thorn|caught {h} finger in the door",
            "put a bandage on {h} finger|held {h} finger under cold water|had blood on {h} finger",
        ),
    ),
    (  # sleep
        (
            "drank strong coffee at midnight|heard a dog bark all night|had bad dreams",
            "lay awake until morning|hardly slept at all|yawned all the next day",
        ),
        (
            "forgot to set the alarm clock|slept until noon|did not hear the alarm clock",
            "was late for work|missed the early bus|arrived after everybody else",
        ),
    ),
    (  # money
        (
            "won the lottery|found a box of gold coins|inherited a fortune",
            "bought a large house|gave up {h} job|became rich overnight",
        ),
        (
            "lost {h} purse at the market|had {h} purse stolen|left {h} purse in a taxi",
            "had no money for the fare|told the police about {h} purse|borrowed money from a friend",
        ),
        (
            "saved money for years|earned money with a second job|put coins into a jar each day",
            "could afford a new car|bought the boat of {h} dreams|paid back a loan at last",
        ),
    ),
    (  # school and reading
        (
            "studied hard for the exam|learned every word of the book|read {h} notes again and again",
            "passed the exam|got the best mark in the class|answered every question",
        ),
        (
            "did not study for the exam|forgot all about the test|left half of the questions empty",
            "failed the exam|got a bad mark|had to take the test again",
        ),
        (
            "talked during the lesson|laughed at the back of the class|passed notes in class",
            "was told to be quiet|had to stay after school|was sent to another seat",
        ),
        (
            "kept a library book too long|lost a library book|spilled ink on a library book",
            "had to pay a fine at the library|got an angry letter from the library|bought another copy for the library",
        ),
    ),
    (  # animals
        (
            "left the gate of the garden open|forgot to close the gate|took the dog off the lead",
            "searched the streets for {h} dog|called the name of {h} dog|put up posters of a lost dog",
        ),
        (
            "heard a cat cry in a tree|saw a kitten on the roof|found a cat on a high branch",
            "fetched a ladder for the cat|rescued the cat|climbed up to the cat",
        ),
        (
            "stepped on the tail of the cat|pulled the tail of the cat|teased the cat",
            "was scratched by the cat|heard the cat hiss|had scratches on {h} hand",
        ),
        (
            "threw crumbs on the grass|put seeds on the lawn|scattered corn in the park",
            "was soon among pigeons|watched the sparrows eat|drew a flock of birds",
        ),
    ),
    (  # travel
        (
            "ran out of petrol|did not fill the tank of the car|drove past the last petrol station",
            "pushed the car to a garage|walked to the next garage with a can|left the car by the road",
        ),
        (
            "drove too fast|did not stop at the red light|parked in front of the fire station",
            "was stopped by the police|got a ticket from a policeman|lost {h} driving licence",
        ),
        (
            "missed the last train|went to the wrong platform|read the timetable wrong",
            "spent the night at the station|took a taxi instead of the train|waited for the first train of the morning",
        ),
        (
            "rode over a nail|cycled over broken bottles|rode {h} bicycle on sharp stones",
            "had a flat tyre|mended a hole in the tyre|pushed {h} bicycle home",
        ),
        (
            "sailed in rough water|took a small boat in high waves|crossed the sea in a gale",
            "was seasick|leaned over the side of the ship|was glad to be back on land",
        ),
    ),
    (  # the house
        (
            "heard a knock at the door|heard the bell ring|saw a guest come up to the house",
            "opened the door|let the visitor in|asked who was there",
        ),
        (
            "lost {h} key|left {h} key inside|broke {h} key in the lock",
            "could not get into the house|climbed in through the cellar|called a locksmith",
        ),
        (
            "left the tap on|let the bath run over|cut through a water pipe",
            "mopped the wet floor|flooded the bathroom|called a plumber",
        ),
        (
            "blew a fuse|saw the lights go out|found that there was no power",
            "lit some candles|looked for a torch|sat in the dark",
        ),
        (
            "played loud music at night|practised the drums at midnight|gave a noisy party",
            "got complaints from the people next door|was asked to turn the music down|woke up the whole street",
        ),
    ),
    (  # clothes
        (
            "spilled wine on {h} shirt|dropped sauce on {h} shirt|got ink on {h} shirt",
            "took {h} shirt to the cleaner|had a stain on {h} shirt|washed {h} shirt at once",
        ),
        (
            "caught {h} sleeve on a hook|climbed over barbed wire|tore {h} trousers",
            "got out a needle and thread|sewed on a patch|took {h} trousers to a tailor",
        ),
        (
            "walked a long way in new shoes|wore shoes that were too tight|danced all night in new shoes",
            "had sore feet|took off {h} shoes|had a blister on {h} heel",
        ),
    ),
    (  # the garden
        (
            "planted tulips in autumn|put bulbs into the ground|sowed flowers along the fence",
            "had a garden full of flowers in spring|filled a basket with flowers|picked a bunch of tulips",
        ),
        (
            "did not water the plants|went away and left the plants dry|let the plants stand in the heat",
            "threw out the dead plants|found brown leaves on the plants|bought new plants",
        ),
        (
            "saw that the apples were ripe|shook the apple tree|went to the orchard in September",
            "filled a basket with apples|made an apple tart|sold apples by the road",
        ),
    ),
    (  # feelings
        (
            "heard a funny joke|watched a clown|was tickled",
            "laughed out loud|could not stop laughing|held {h} belly with laughter",
        ),
        (
            "got sad news|watched a sad film|said farewell to {h} best friend",
            "burst into tears|wiped {h} eyes|used up all the handkerchiefs",
        ),
        (
            "saw a ghost in the attic|heard steps in the dark|met a bear in the woods",
            "screamed and ran away|trembled with fear|hid under a blanket",
        ),
        (
            "told a lie|broke a promise|kept a secret from {h} mother",
            "felt guilty|blushed|was no longer trusted",
        ),
    ),
    (  # people
        (
            "had a birthday|turned forty|invited friends for {h} birthday",
            "got many presents|blew out the candles on a cake|opened a parcel with a ribbon",
        ),
        (
            "moved to a new town|knew nobody in the town|lived far from {h} family",
            "felt lonely|wrote home each week|joined a club to meet people",
        ),
        (
            "helped an old man across the road|carried the bags of an old woman|gave up {h} seat",
            "was thanked by a stranger|got a smile and a kind word|was praised for good manners",
        ),
        (
            "quarrelled with {h} brother|shouted at {h} sister|insulted {h} aunt",
            "was not spoken to for days|had to make peace|wrote a letter to say sorry",
        ),
    ),
    (  # sport
        (
            "trained every day|ran ten miles each morning|swam each day before work",
            "won the race|got a gold medal|came first",
        ),
        (
            "scored the last goal|caught the ball at the last second|saved a penalty",
            "was carried off the field by the team|was cheered by the crowd|lifted the cup",
        ),
        (
            "pushed another player|argued with the referee|kicked a player",
            "was sent off|saw a red card|watched the rest of the match from the bench",
        ),
    ),
    (  # work
        (
            "shouted at the boss|slept at {h} desk|stole from the till",
            "was dismissed|had to look for a new job|cleared out {h} desk",
        ),
        (
            "worked late every evening|had the best idea in the office|sold more than anyone else",
            "was promoted|got a higher salary|was given an office with a view",
        ),
        (
            "lifted a heavy box|carried a piano|dug a ditch all day",
            "had a sore back|lay on a hot water bottle|could not stand up straight",
        ),
    ),
    (  # fire and light
        (
            "dropped a match in the hay|smoked in the barn|left a candle burning by the curtain",
            "called the fire brigade|ran for a bucket of water|saw flames",
        ),
        (
            "read in poor light|sewed by candle light|stared at a screen all day",
            "had tired eyes|needed stronger glasses|went to see an optician",
        ),
    ),
    (  # letters and telephones
        (
            "put the wrong stamp on the letter|wrote the wrong address on the letter|forgot the stamp",
            "got the letter back|had to post the letter again|learned that the letter never arrived",
        ),
        (
            "forgot to charge the phone|dropped the phone in the river|talked until the phone was empty",
            "could not be reached|missed an important call|asked for the use of another phone",
        ),
    ),
    (  # music and plays
        (
            "sang like a bird|played the violin without a mistake|gave a fine concert",
            "got loud applause|was handed a bunch of roses on the stage|had to play once more",
        ),
        (
            "forgot the words of the play|fell over on the stage|lost {h} voice on the stage",
            "left the stage red in the face|was whispered to from the wings|read from the script",
        ),
        (
            "heard that the tickets were few|wanted a seat at the front|loved the singer",
            "queued for tickets at dawn|bought a ticket weeks ahead|paid a lot for a ticket",
        ),
    ),
)
