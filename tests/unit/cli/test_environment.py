from omnipipe.settings import Environment


def test_an_empty_environment_is_the_default() -> None:
    assert Environment.read({}) == Environment()


def test_what_is_read() -> None:
    environment = Environment.read(
        {"OMNIPIPE_DEBUG": "1", "OMNIPIPE_API_KEYS": " a,b ,,", "NO_COLOR": "1", "XDG_RUNTIME_DIR": "/run/user/1"}
    )
    assert environment == Environment(debug=True, api_keys=("a", "b"), colour=False, runtime_dir="/run/user/1")


def test_zero_is_off() -> None:
    assert not Environment.read({"OMNIPIPE_DEBUG": "0"}).debug
