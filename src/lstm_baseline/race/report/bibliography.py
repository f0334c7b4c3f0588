r"""What a race rests on, as BibTeX: one entry for each source, in one place.

Fields are written as LaTeX reads them, in ASCII: ``Merri{\"e}nboer``. Words whose capitals must
stay are in braces.
"""

from collections.abc import Collection
from typing import NamedTuple

SOFTWARE = "lstm-baseline"
"""Key of this package."""

DEVELOPERS, TITLE, YEAR = "The lstm-baseline developers", "lstm-baseline", 2026
"""Author, title and year of this package, as CITATION.cff has them."""


class Source(NamedTuple):
    """An entry of BibTeX."""

    kind: str
    authors: str
    title: str
    year: int
    fields: dict[str, str]
    """Further fields, such as the journal."""


def _arxiv(number: str) -> dict[str, str]:
    return {"eprint": number, "archiveprefix": "arXiv"}


_NEURIPS = "Advances in Neural Information Processing Systems"
_ICLR = "International Conference on Learning Representations"
_ICML = "International Conference on Machine Learning"

SOURCES: dict[str, Source] = {
    "mackey1977": Source(
        "article",
        "Mackey, Michael C. and Glass, Leon",
        "Oscillation and Chaos in Physiological Control Systems",
        1977,
        {"journal": "Science", "volume": "197", "number": "4300", "pages": "287--289"},
    ),
    "jaeger2004": Source(
        "article",
        "Jaeger, Herbert and Haas, Harald",
        "Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless "
        "Communication",
        2004,
        {"journal": "Science", "volume": "304", "number": "5667", "pages": "78--80"},
    ),
    "lorenz1963": Source(
        "article",
        "Lorenz, Edward N.",
        "Deterministic Nonperiodic Flow",
        1963,
        {
            "journal": "Journal of the Atmospheric Sciences",
            "volume": "20",
            "number": "2",
            "pages": "130--141",
        },
    ),
    "atiya2000": Source(
        "article",
        "Atiya, Amir F. and Parlos, Alexander G.",
        "New Results on Recurrent Network Training: Unifying the Algorithms and Accelerating "
        "Convergence",
        2000,
        {
            "journal": "IEEE Transactions on Neural Networks",
            "volume": "11",
            "number": "3",
            "pages": "697--709",
        },
    ),
    "jaeger2003": Source(
        "inproceedings",
        "Jaeger, Herbert",
        "Adaptive Nonlinear System Identification with Echo State Networks",
        2003,
        {
            "booktitle": "Advances in Neural Information Processing Systems 15",
            "pages": "609--616",
        },
    ),
    "hochreiter1997": Source(
        "article",
        'Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen',
        "Long Short-Term Memory",
        1997,
        {
            "journal": "Neural Computation",
            "volume": "9",
            "number": "8",
            "pages": "1735--1780",
            "doi": "10.1162/neco.1997.9.8.1735",
        },
    ),
    "gers2000": Source(
        "article",
        'Gers, Felix A. and Schmidhuber, J{\\"u}rgen and Cummins, Fred',
        "Learning to Forget: Continual Prediction with {LSTM}",
        2000,
        {
            "journal": "Neural Computation",
            "volume": "12",
            "number": "10",
            "pages": "2451--2471",
            "doi": "10.1162/089976600300015015",
        },
    ),
    "gers2002": Source(
        "article",
        'Gers, Felix A. and Schraudolph, Nicol N. and Schmidhuber, J{\\"u}rgen',
        "Learning Precise Timing with {LSTM} Recurrent Networks",
        2002,
        {"journal": "Journal of Machine Learning Research", "volume": "3", "pages": "115--143"},
    ),
    "sak2014": Source(
        "inproceedings",
        "Sak, Ha{\\c{s}}im and Senior, Andrew and Beaufays, Fran{\\c{c}}oise",
        "Long Short-Term Memory Recurrent Neural Network Architectures for Large Scale Acoustic "
        "Modeling",
        2014,
        {"booktitle": "Interspeech", "pages": "338--342"},
    ),
    "greff2017": Source(
        "article",
        "Greff, Klaus and Srivastava, Rupesh K. and Koutn{\\'i}k, Jan and Steunebrink, Bas R. and "
        'Schmidhuber, J{\\"u}rgen',
        "{LSTM}: A Search Space Odyssey",
        2017,
        {
            "journal": "IEEE Transactions on Neural Networks and Learning Systems",
            "volume": "28",
            "number": "10",
            "pages": "2222--2232",
        },
    ),
    "ba2016": Source(
        "misc",
        "Ba, Jimmy Lei and Kiros, Jamie Ryan and Hinton, Geoffrey E.",
        "Layer Normalization",
        2016,
        _arxiv("1607.06450"),
    ),
    "gal2016": Source(
        "inproceedings",
        "Gal, Yarin and Ghahramani, Zoubin",
        "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks",
        2016,
        {"booktitle": _NEURIPS, "volume": "29"} | _arxiv("1512.05287"),
    ),
    "krueger2017": Source(
        "inproceedings",
        "Krueger, David and Maharaj, Tegan and Kram{\\'a}r, J{\\'a}nos and Pezeshki, Mohammad and "
        "Ballas, Nicolas and Ke, Nan Rosemary and Goyal, Anirudh and Bengio, Yoshua and Courville, "
        "Aaron and Pal, Christopher",
        "Zoneout: Regularizing {RNN}s by Randomly Preserving Hidden Activations",
        2017,
        {"booktitle": _ICLR} | _arxiv("1606.01305"),
    ),
    "cho2014": Source(
        "inproceedings",
        'Cho, Kyunghyun and van Merri{\\"e}nboer, Bart and Gulcehre, Caglar and Bahdanau, Dzmitry '
        "and Bougares, Fethi and Schwenk, Holger and Bengio, Yoshua",
        "Learning Phrase Representations using {RNN} Encoder--Decoder for Statistical Machine "
        "Translation",
        2014,
        {
            "booktitle": "Conference on Empirical Methods in Natural Language Processing (EMNLP)",
            "pages": "1724--1734",
            "doi": "10.3115/v1/D14-1179",
        },
    ),
    "feng2024": Source(
        "misc",
        "Feng, Leo and Tung, Frederick and Ahmed, Mohamed Osama and Bengio, Yoshua and "
        "Hajimirsadeghi, Hossein",
        "Were {RNN}s All We Needed?",
        2024,
        _arxiv("2410.01201"),
    ),
    "elman1990": Source(
        "article",
        "Elman, Jeffrey L.",
        "Finding Structure in Time",
        1990,
        {"journal": "Cognitive Science", "volume": "14", "number": "2", "pages": "179--211"},
    ),
    "jaeger2001": Source(
        "misc",
        "Jaeger, Herbert",
        "The ``Echo State'' Approach to Analysing and Training Recurrent Neural Networks",
        2001,
        {"howpublished": "GMD Report 148"},
    ),
    "lukosevicius2012": Source(
        "inproceedings",
        "Luko{\\v{s}}evi{\\v{c}}ius, Mantas",
        "A Practical Guide to Applying Echo State Networks",
        2012,
        {"booktitle": "Neural Networks: Tricks of the Trade", "pages": "659--686"},
    ),
    "le2015": Source(
        "misc",
        "Le, Quoc V. and Jaitly, Navdeep and Hinton, Geoffrey E.",
        "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
        2015,
        _arxiv("1504.00941"),
    ),
    "beck2024": Source(
        "misc",
        'Beck, Maximilian and P{\\"o}ppel, Korbinian and Spanring, Markus and Auer, Andreas and '
        'Prudnikova, Oleksandra and Kopp, Michael and Klambauer, G{\\"u}nter and Brandstetter, '
        "Johannes and Hochreiter, Sepp",
        "{xLSTM}: Extended Long Short-Term Memory",
        2024,
        _arxiv("2405.04517"),
    ),
    "vaswani2017": Source(
        "misc",
        "Vaswani, Ashish and Shazeer, Noam and Parmar, Niki and Uszkoreit, Jakob and Jones, Llion "
        "and Gomez, Aidan N. and Kaiser, {\\L}ukasz and Polosukhin, Illia",
        "Attention Is All You Need",
        2017,
        _arxiv("1706.03762"),
    ),
    "su2021": Source(
        "misc",
        "Su, Jianlin and Lu, Yu and Pan, Shengfeng and Murtadha, Ahmed and Wen, Bo and Liu, "
        "Yunfeng",
        "{RoFormer}: Enhanced Transformer with Rotary Position Embedding",
        2021,
        _arxiv("2104.09864"),
    ),
    "katharopoulos2020": Source(
        "misc",
        "Katharopoulos, Angelos and Vyas, Apoorv and Pappas, Nikolaos and Fleuret, Fran{\\c{c}}ois",
        "Transformers are {RNNs}: Fast Autoregressive Transformers with Linear Attention",
        2020,
        _arxiv("2006.16236"),
    ),
    "yang2024": Source(
        "misc",
        "Yang, Songlin and Wang, Bailin and Zhang, Yu and Shen, Yikang and Kim, Yoon",
        "Parallelizing Linear Transformers with the Delta Rule over Sequence Length",
        2024,
        _arxiv("2406.06484"),
    ),
    "yangkautz2024": Source(
        "misc",
        "Yang, Songlin and Kautz, Jan and Hatamizadeh, Ali",
        "Gated Delta Networks: Improving {Mamba2} with Delta Rule",
        2024,
        _arxiv("2412.06464"),
    ),
    "grazzi2024": Source(
        "misc",
        'Grazzi, Riccardo and Siems, Julien and Zela, Arber and Franke, J{\\"o}rg K. H. and '
        "Hutter, Frank and Pontil, Massimiliano",
        "Unlocking State-Tracking in Linear {RNNs} Through Negative Eigenvalues",
        2024,
        _arxiv("2411.12537"),
    ),
    "orvieto2023": Source(
        "misc",
        "Orvieto, Antonio and Smith, Samuel L. and Gu, Albert and Fernando, Anushan and Gulcehre, "
        "Caglar and Pascanu, Razvan and De, Soham",
        "Resurrecting Recurrent Neural Networks for Long Sequences",
        2023,
        _arxiv("2303.06349"),
    ),
    "peng2025": Source(
        "misc",
        "Peng, Bo and Zhang, Ruichong and Goldstein, Daniel and others",
        "{RWKV-7} ``Goose'' with Expressive Dynamic State Evolution",
        2025,
        _arxiv("2503.14456"),
    ),
    "santoro2018": Source(
        "inproceedings",
        "Santoro, Adam and Faulkner, Ryan and Raposo, David and Rae, Jack and Chrzanowski, Mike "
        "and Weber, Th{\\'e}ophane and Wierstra, Daan and Vinyals, Oriol and Pascanu, Razvan and "
        "Lillicrap, Timothy",
        "Relational Recurrent Neural Networks",
        2018,
        {"booktitle": _NEURIPS, "volume": "31"} | _arxiv("1806.01822"),
    ),
    "arjovsky2016": Source(
        "inproceedings",
        "Arjovsky, Martin and Shah, Amar and Bengio, Yoshua",
        "Unitary Evolution Recurrent Neural Networks",
        2016,
        {"booktitle": _ICML, "pages": "1120--1128"} | _arxiv("1511.06464"),
    ),
    "weston2015": Source(
        "misc",
        "Weston, Jason and Bordes, Antoine and Chopra, Sumit and Rush, Alexander M. and van "
        'Merri{\\"e}nboer, Bart and Joulin, Armand and Mikolov, Tomas',
        "Towards {AI}-Complete Question Answering: A Set of Prerequisite Toy Tasks",
        2015,
        _arxiv("1502.05698"),
    ),
    "minsky1969": Source(
        "book",
        "Minsky, Marvin and Papert, Seymour",
        "Perceptrons: An Introduction to Computational Geometry",
        1969,
        {"publisher": "MIT Press"},
    ),
    "deletang2023": Source(
        "inproceedings",
        "Del{\\'e}tang, Gr{\\'e}goire and Ruoss, Anian and Grau-Moya, Jordi and Genewein, Tim and "
        "Wenliang, Li Kevin and Catt, Elliot and Cundy, Chris and Hutter, Marcus and Legg, Shane "
        "and Veness, Joel and Ortega, Pedro A.",
        "Neural Networks and the {C}homsky Hierarchy",
        2023,
        {"booktitle": _ICLR} | _arxiv("2207.02098"),
    ),
    "liu2023": Source(
        "inproceedings",
        "Liu, Bingbin and Ash, Jordan T. and Goel, Surbhi and Krishnamurthy, Akshay and Zhang, "
        "Cyril",
        "Exposing Attention Glitches with Flip-Flop Language Modeling",
        2023,
        {"booktitle": "Advances in Neural Information Processing Systems", "volume": "36"}
        | _arxiv("2306.00946"),
    ),
    "arora2024": Source(
        "inproceedings",
        "Arora, Simran and Eyuboglu, Sabri and Timalsina, Aman and Johnson, Isys and Poli, "
        "Michael and Zou, James and Rudra, Atri and R{\\'e}, Christopher",
        "Zoology: Measuring and Improving Recall in Efficient Language Models",
        2024,
        {"booktitle": _ICLR} | _arxiv("2312.04927"),
    ),
    "gu2023": Source(
        "misc",
        "Gu, Albert and Dao, Tri",
        "{M}amba: Linear-Time Sequence Modeling with Selective State Spaces",
        2023,
        _arxiv("2312.00752"),
    ),
    "jing2019": Source(
        "article",
        "Jing, Li and Gulcehre, Caglar and Peurifoy, John and Shen, Yichen and Tegmark, Max and "
        "Solja{\\v{c}}i{\\'c}, Marin and Bengio, Yoshua",
        "Gated Orthogonal Recurrent Units: On Learning to Forget",
        2019,
        {"journal": "Neural Computation", "volume": "31", "number": "4", "pages": "765--783"}
        | _arxiv("1706.02761"),
    ),
    "merrill2024": Source(
        "inproceedings",
        "Merrill, William and Petty, Jackson and Sabharwal, Ashish",
        "The Illusion of State in State-Space Models",
        2024,
        {"booktitle": _ICML} | _arxiv("2404.08819"),
    ),
    "hewitt2020": Source(
        "inproceedings",
        "Hewitt, John and Hahn, Michael and Ganguli, Surya and Liang, Percy and Manning, "
        "Christopher D.",
        "{RNN}s Can Generate Bounded Hierarchical Languages with Optimal Memory",
        2020,
        {"booktitle": "Conference on Empirical Methods in Natural Language Processing (EMNLP)"}
        | _arxiv("2010.07515"),
    ),
    "suzgun2019": Source(
        "misc",
        "Suzgun, Mirac and Gehrmann, Sebastian and Belinkov, Yonatan and Shieber, Stuart M.",
        "Memory-Augmented Recurrent Neural Networks Can Learn Generalized {D}yck Languages",
        2019,
        _arxiv("1911.03329"),
    ),
    "gers2001": Source(
        "article",
        'Gers, Felix A. and Schmidhuber, J{\\"u}rgen',
        "{LSTM} Recurrent Networks Learn Simple Context-Free and Context-Sensitive Languages",
        2001,
        {
            "journal": "IEEE Transactions on Neural Networks",
            "volume": "12",
            "number": "6",
            "pages": "1333--1340",
        },
    ),
    "weiss2018": Source(
        "inproceedings",
        "Weiss, Gail and Goldberg, Yoav and Yahav, Eran",
        "On the Practical Computational Power of Finite Precision {RNN}s for Language Recognition",
        2018,
        {
            "booktitle": "Annual Meeting of the Association for Computational Linguistics (ACL)",
            "pages": "740--745",
        }
        | _arxiv("1805.04908"),
    ),
    "lan2022": Source(
        "article",
        "Lan, Nur and Geyer, Michal and Chemla, Emmanuel and Katzir, Roni",
        "Minimum Description Length Recurrent Neural Networks",
        2022,
        {
            "journal": "Transactions of the Association for Computational Linguistics",
            "volume": "10",
            "pages": "785--799",
        }
        | _arxiv("2111.00600"),
    ),
    "poli2024": Source(
        "inproceedings",
        "Poli, Michael and Thomas, Armin W. and Nguyen, Eric and Ponnusamy, Pragaash and "
        'Deiseroth, Bj{\\"o}rn and Kersting, Kristian and Suzuki, Taiji and Hie, Brian and Ermon, '
        "Stefano and R{\\'e}, Christopher and Zhang, Ce and Massaroli, Stefano",
        "Mechanistic Design and Scaling of Hybrid Architectures",
        2024,
        {"booktitle": _ICML} | _arxiv("2403.17844"),
    ),
    "kingma2015": Source(
        "inproceedings",
        "Kingma, Diederik P. and Ba, Jimmy",
        "Adam: A Method for Stochastic Optimization",
        2015,
        {"booktitle": _ICLR} | _arxiv("1412.6980"),
    ),
    "loshchilov2019": Source(
        "inproceedings",
        "Loshchilov, Ilya and Hutter, Frank",
        "Decoupled Weight Decay Regularization",
        2019,
        {"booktitle": _ICLR} | _arxiv("1711.05101"),
    ),
    "tieleman2012": Source(
        "misc",
        "Tieleman, Tijmen and Hinton, Geoffrey E.",
        "Lecture 6.5---{RMSProp}: Divide the Gradient by a Running Average of Its Recent Magnitude",
        2012,
        {"howpublished": "COURSERA: Neural Networks for Machine Learning"},
    ),
    "polyak1964": Source(
        "article",
        "Polyak, Boris T.",
        "Some Methods of Speeding up the Convergence of Iteration Methods",
        1964,
        {
            "journal": "USSR Computational Mathematics and Mathematical Physics",
            "volume": "4",
            "number": "5",
            "pages": "1--17",
        },
    ),
    "loshchilov2017": Source(
        "inproceedings",
        "Loshchilov, Ilya and Hutter, Frank",
        "{SGDR}: Stochastic Gradient Descent with Warm Restarts",
        2017,
        {"booktitle": _ICLR} | _arxiv("1608.03983"),
    ),
    "pascanu2013": Source(
        "inproceedings",
        "Pascanu, Razvan and Mikolov, Tomas and Bengio, Yoshua",
        "On the Difficulty of Training Recurrent Neural Networks",
        2013,
        {"booktitle": _ICML, "pages": "1310--1318"} | _arxiv("1211.5063"),
    ),
    "williams1990": Source(
        "article",
        "Williams, Ronald J. and Peng, Jing",
        "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network "
        "Trajectories",
        1990,
        {"journal": "Neural Computation", "volume": "2", "number": "4", "pages": "490--501"},
    ),
    "bergstra2012": Source(
        "article",
        "Bergstra, James and Bengio, Yoshua",
        "Random Search for Hyper-Parameter Optimization",
        2012,
        {"journal": "Journal of Machine Learning Research", "volume": "13", "pages": "281--305"},
    ),
    "dodge2019": Source(
        "inproceedings",
        "Dodge, Jesse and Gururangan, Suchin and Card, Dallas and Schwartz, Roy and Smith, Noah A.",
        "Show Your Work: Improved Reporting of Experimental Results",
        2019,
        {
            "booktitle": "Conference on Empirical Methods in Natural Language Processing (EMNLP)",
            "pages": "2185--2194",
            "doi": "10.18653/v1/D19-1224",
        },
    ),
    "tang2020": Source(
        "inproceedings",
        "Tang, Raphael and Lee, Jaejun and Xin, Ji and Liu, Xinyu and Yu, Yaoliang and Lin, Jimmy",
        "Showing Your Work Doesn't Always Work",
        2020,
        {
            "booktitle": "Annual Meeting of the Association for Computational Linguistics (ACL)",
            "pages": "2766--2772",
            "doi": "10.18653/v1/2020.acl-main.246",
        },
    ),
    "bouthillier2021": Source(
        "inproceedings",
        "Bouthillier, Xavier and Delaunay, Pierre and Bronzi, Mirko and Trofimov, Assya and "
        "Nichyporuk, Brennan and Szeto, Justin and Mohammadi Sepahvand, Nazanin and Raff, Edward "
        "and Madan, Kanika and Voleti, Vikram and Ebrahimi Kahou, Samira and Michalski, Vincent "
        'and Arbel, Tal and Pal, Chris and Varoquaux, Ga{\\"e}l and Vincent, Pascal',
        "Accounting for Variance in Machine Learning Benchmarks",
        2021,
        {
            "booktitle": "Machine Learning and Systems (MLSys)",
            "volume": "3",
            "pages": "747--769",
        }
        | _arxiv("2103.03098"),
    ),
    "fisher1935": Source(
        "book",
        "Fisher, Ronald A.",
        "The Design of Experiments",
        1935,
        {"publisher": "Oliver and Boyd", "address": "Edinburgh"},
    ),
    "hartigan1969": Source(
        "article",
        "Hartigan, John A.",
        "Using Subsample Values as Typical Values",
        1969,
        {
            "journal": "Journal of the American Statistical Association",
            "volume": "64",
            "number": "328",
            "pages": "1303--1317",
        },
    ),
    "phipson2010": Source(
        "article",
        "Phipson, Belinda and Smyth, Gordon K.",
        "Permutation {P}-values Should Never Be Zero: Calculating Exact {P}-values When "
        "Permutations Are Randomly Drawn",
        2010,
        {
            "journal": "Statistical Applications in Genetics and Molecular Biology",
            "volume": "9",
            "number": "1",
        },
    ),
    "holm1979": Source(
        "article",
        "Holm, Sture",
        "A Simple Sequentially Rejective Multiple Test Procedure",
        1979,
        {
            "journal": "Scandinavian Journal of Statistics",
            "volume": "6",
            "number": "2",
            "pages": "65--70",
        },
    ),
    "schuirmann1987": Source(
        "article",
        "Schuirmann, Donald J.",
        "A Comparison of the Two One-Sided Tests Procedure and the Power Approach for Assessing "
        "the Equivalence of Average Bioavailability",
        1987,
        {
            "journal": "Journal of Pharmacokinetics and Biopharmaceutics",
            "volume": "15",
            "number": "6",
            "pages": "657--680",
        },
    ),
    "lakens2017": Source(
        "article",
        'Lakens, Dani{\\"e}l',
        "Equivalence Tests: A Practical Primer for t Tests, Correlations, and Meta-Analyses",
        2017,
        {
            "journal": "Social Psychological and Personality Science",
            "volume": "8",
            "number": "4",
            "pages": "355--362",
            "doi": "10.1177/1948550617697177",
        },
    ),
    "clopper1934": Source(
        "article",
        "Clopper, C. J. and Pearson, E. S.",
        "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
        1934,
        {"journal": "Biometrika", "volume": "26", "number": "4", "pages": "404--413"},
    ),
    "agresti1998": Source(
        "article",
        "Agresti, Alan and Coull, Brent A.",
        "Approximate Is Better than ``Exact'' for Interval Estimation of Binomial Proportions",
        1998,
        {
            "journal": "The American Statistician",
            "volume": "52",
            "number": "2",
            "pages": "119--126",
        },
    ),
    "harris2020": Source(
        "article",
        "Harris, Charles R. and Millman, K. Jarrod and van der Walt, St{\\'e}fan J. and others",
        "Array Programming with {NumPy}",
        2020,
        {
            "journal": "Nature",
            "volume": "585",
            "pages": "357--362",
            "doi": "10.1038/s41586-020-2649-2",
        },
    ),
    "paszke2019": Source(
        "inproceedings",
        "Paszke, Adam and Gross, Sam and Massa, Francisco and others",
        "{PyTorch}: An Imperative Style, High-Performance Deep Learning Library",
        2019,
        {"booktitle": _NEURIPS, "volume": "32"},
    ),
}
"""Every source that a race may rest on, by the key that cites it."""

OF_MODEL: dict[str, tuple[str, ...]] = {
    "lstm": ("hochreiter1997", "gers2000"),
    "gru": ("cho2014",),
    "rnn": ("elman1990",),
    "mingru": ("feng2024",),
    "elman": ("elman1990",),
    "irnn": ("le2015",),
    "minlstm": ("feng2024",),
    "slstm": ("beck2024",),
    "mlstm": ("beck2024",),
    "transformer": ("vaswani2017", "su2021"),
    "linear-attention": ("katharopoulos2020",),
    "deltanet": ("yang2024",),
    "gated-deltanet": ("yangkautz2024",),
    "mamba": ("gu2023",),
    "lru": ("orvieto2023",),
    "rwkv7": ("peng2025",),
    "echo-state": ("jaeger2001", "lukosevicius2012"),
    "relational": ("santoro2018",),
}
"""Sources of the package's models."""

OF_ARGUMENT: dict[str, tuple[str, ...]] = {
    "peepholes": ("gers2002",),
    "projection_size": ("sak2014",),
    "coupled_gates": ("greff2017",),
    "layer_norm": ("ba2016",),
    "recurrent_dropout": ("gal2016",),
    "zoneout": ("krueger2017",),
    "negative": ("grazzi2024",),
}
"""Sources of what a contestant's arguments add to a model of the package."""

OF_TASK: dict[str, tuple[str, ...]] = {
    "object-tracking": (),
    "object-tracking-position": (),
    "pair-matching": (),
    "qa": ("weston2015",),
    "nth-farthest": ("santoro2018",),
    "adding": ("hochreiter1997", "arjovsky2016"),
    "copy-memory": ("hochreiter1997", "arjovsky2016"),
    "parity": ("minsky1969", "deletang2023"),
    "even-pairs": ("deletang2023",),
    "cycle-navigation": ("deletang2023",),
    "modular-arithmetic": ("deletang2023",),
    "word-problem": ("merrill2024",),
    "dyck": ("hewitt2020", "suzgun2019"),
    "anbncn": ("gers2001", "weiss2018", "lan2022"),
    "reverse": ("deletang2023",),
    "bucket-sort": ("deletang2023",),
    "stack": ("deletang2023",),
    "flip-flop": ("liu2023",),
    "mqar": ("arora2024",),
    "selective-copying": ("gu2023", "jing2019"),
    "induction-heads": ("gu2023",),
    "noisy-recall": ("poli2024",),
    "mackey-glass": ("mackey1977", "jaeger2004"),
    "lorenz": ("lorenz1963", "jaeger2004"),
    "narma": ("atiya2000", "jaeger2003"),
}
"""Sources of the package's tasks; a task without any is its own."""

OF_OPTIMIZER: dict[str, tuple[str, ...]] = {
    "adam": ("kingma2015",),
    "adamw": ("kingma2015", "loshchilov2019"),
    "rmsprop": ("tieleman2012",),
    "sgd": ("polyak1964",),
}

OF_SCHEDULE: dict[str, tuple[str, ...]] = {
    "constant": (),
    "exponential": (),
    "cosine": ("loshchilov2017",),
}


class Citations:
    """Citations of a text, and with them the entries that its bibliography needs."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """Keys cited so far, each once."""

    def cite(self, *keys: str) -> str:
        """Return a citation as Pandoc's Markdown has it, after a space; nothing without a key."""
        for key in keys:
            if key not in self.keys:
                self.keys.append(key)
        return f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""


def bibtex(keys: Collection[str], version: str) -> str:
    """Return the entries of some keys as BibTeX, by key.

    Parameters
    ----------
    keys
        Keys of ``SOURCES``, or ``SOFTWARE``.
    version
        Version of this package, for its own entry.
    """
    software = Source("misc", f"{{{DEVELOPERS}}}", TITLE, YEAR, {"note": f"Version {version}"})
    known = SOURCES | {SOFTWARE: software}
    return "\n".join(_entry(key, known[key]) for key in sorted(keys))


def _entry(key: str, source: Source) -> str:
    fields = {"author": source.authors, "title": source.title, **source.fields}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{source.kind}{{{key},", *lines, f"  year = {{{source.year}}},", "}", ""])
