"""Why a node made NaN or Inf out of finite gradients: looked up while the node's hook runs.

`examine.py` puts it together: `scene.py` reads what the node saved, each of the other modules
holds the rules of one family. A rule is an entry in a table: a node's name, and a function that
looks at the scene and says what it found, or nothing.
"""
