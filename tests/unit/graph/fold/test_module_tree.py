from inspect_autograd.graph.fold.module_tree import (
    ModuleTree,
    common_prefix,
    is_within,
    parent_of,
    scope_of_parameter,
)

TREE = ModuleTree(
    [
        "embed.weight",
        "layers.0.attn.in_proj_weight",
        "layers.0.attn.out_proj.weight",
        "layers.0.down.0.weight",
        "layers.0.down.1.weight",
        "layers.1.attn.in_proj_weight",
        "head.0.weight",
        "head.2.weight",
    ]
)


def test_the_owner_of_a_parameter() -> None:
    assert scope_of_parameter("layers.0.fc.weight") == "layers.0.fc"
    assert scope_of_parameter("weight") == ""
    assert scope_of_parameter("a.fc.parametrizations.weight.original0") == "a.fc"


def test_leaves_have_no_submodules() -> None:
    assert TREE.is_leaf("embed")
    assert TREE.is_leaf("head.0")
    assert not TREE.is_leaf("layers.0.attn")
    assert not TREE.is_leaf("")


def test_containers_hold_numbered_modules_only() -> None:
    assert TREE.is_container("layers")
    assert TREE.is_container("head")
    assert not TREE.is_container("layers.0")
    assert not TREE.is_container("head.0")
    assert not TREE.is_container("")
    assert not ModuleTree(["a.0.weight", "a.scale"]).is_container("a")


def test_containers_are_skipped_outwards() -> None:
    assert TREE.skip_containers("layers.0.down") == "layers.0"
    assert TREE.skip_containers("layers") == ""
    assert TREE.skip_containers("layers.0.attn") == "layers.0.attn"


def test_the_block_around_a_module() -> None:
    assert TREE.block_of("layers.0.attn.out_proj") == "layers.0"
    assert TREE.block_of("layers.0") == "layers.0"
    # A numbered module without submodules is a step of a Sequential, not a block.
    assert TREE.block_of("layers.0.down.1") == "layers.0"
    assert TREE.block_of("head.0") == ""
    assert TREE.block_of("") == ""


def test_siblings() -> None:
    assert TREE.has_siblings("layers.1")
    assert not ModuleTree(["layers.0.fc.weight"]).has_siblings("layers.0")


def test_paths() -> None:
    assert [parent_of(path) for path in ("a.b.c", "a", "")] == ["a.b", "", ""]
    assert common_prefix("a.b.c", "a.b.d") == "a.b"
    assert common_prefix("a.b", "a.bc") == "a"
    assert common_prefix("a", "") == ""
    assert is_within("a.b", "a")
    assert is_within("a", "a")
    assert is_within("a", "")
    assert not is_within("ab", "a")
    assert not is_within("", "a")
