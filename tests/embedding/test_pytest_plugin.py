"""The fixture of the package's pytest plugin, in test runs of its own."""

import pytest

pytest_plugins = ("pytester",)

APP = """
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["path"].encode()})
"""


def test_the_fixture_serves_until_the_end_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        APP
        + """
    import urllib.error, urllib.request, pytest

    urls = []

    def test_it_serves(ianus_server):
        urls.extend([ianus_server(app), ianus_server(app, header="X-Test: yes")])
        with urllib.request.urlopen(urls[0] + "/one") as one, urllib.request.urlopen(urls[1] + "/two") as two:
            assert (one.read(), two.read()) == (b"/one", b"/two")
            assert (one.headers["X-Test"], two.headers["X-Test"]) == (None, "yes")

    def test_it_has_ended():
        for url in urls:
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(url)

    def test_the_plugin_reports_wrong_usage(ianus_server):
        from ianus import StartupError
        with pytest.raises(StartupError, match="no_such_module_here"):
            ianus_server("no_such_module_here:app")
    """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


def test_loading_the_plugin_imports_nothing_of_the_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import sys

    def test_modules():
        assert "ianus.pytest_plugin" in sys.modules
        packages = {name.split(".")[1] for name in sys.modules if name.startswith("ianus.")}
        assert packages == {"_version", "errors", "settings", "pytest_plugin"}
    """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_fixture_is_listed_with_its_documentation(pytester: pytest.Pytester) -> None:
    pytester.runpytest_inprocess("--fixtures").stdout.fnmatch_lines(["ianus_server*", "*until the end of the test*"])
