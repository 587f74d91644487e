"""Formats of access logs in the atoms of Ianus."""

import pytest

from ianus.migrate.log_formats import (
    apache_format,
    granian_format,
    hypercorn_format,
    remark_on,
    unit_format,
    uwsgi_format,
)
from ianus.settings.values import access_log_format


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[%(time)s] %(addr)s "%(method)s %(path)s" %(status)d %(dt_ms).3f', '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(M)s'),
    ],
)
def test_granian(before: str, after: str) -> None:
    assert granian_format(before) == access_log_format(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('%(h)s "%(r)s" %(s)s', '%(h)s "%(m)s %(U)s %(H)s" %(s)s'),
        ('"%(R)s" %(S)s %(st)s %({x-a}i)s', '"%(r)s" - - %({x-a}i)s'),
        ("%(m)s %(Uq)s %(H)s", "%(r)s"),
        ("%(h)s %(Uq)s", "%(h)s %(U)s?%(q)s"),
    ],
)
def test_hypercorn(before: str, after: str) -> None:
    assert hypercorn_format(before) == access_log_format(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r"%h %l %u %t \"%r\" %>s %b", '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s'),
        ('%{X-Forwarded-For}i "%{User-Agent}i" %D%%', '%({x-forwarded-for}i)s "%({user-agent}i)s" %(D)s%%'),
        ('%h "%m %U%q %H" %s', '%(h)s "%(r)s" %(s)s'),
        ("%h %U%q %s", "%(h)s %(U)s?%(q)s %(s)s"),
        ("%h %{UNIQUE_ID}e %I", "%(h)s - -"),
    ],
)
def test_apache(before: str, after: str) -> None:
    assert apache_format(before) == access_log_format(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('%(addr) [%(ltime)] "%(method) %(uri)" %(status)', '%(h)s %(t)s "%(m)s %(U)s?%(q)s" %(s)s'),
        ('%(addr) "%(method) %(uri) %(proto)" %(status)', '%(h)s "%(r)s" %(s)s'),
        ("%(var.HTTP_X_REAL_IP) %(vszM) %(pid)", "%({x-real-ip}i)s - %(p)s"),
    ],
)
def test_uwsgi(before: str, after: str) -> None:
    assert uwsgi_format(before) == access_log_format(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('$remote_addr [$time_local] "$request_line" $status', '%(h)s %(t)s "%(r)s" %(s)s'),
        ("$method $request_uri $status", "%(m)s %(U)s?%(q)s %(s)s"),
        ("$method $uri", "%(m)s %(U)s"),
        ("${host} $header_x_real_ip $arg_x $cookie_y", "%({host}i)s %({x-real-ip}i)s - -"),
    ],
)
def test_unit(before: str, after: str) -> None:
    assert unit_format(before) == access_log_format(after)


def test_the_end_of_a_target_without_a_query_is_named() -> None:
    assert remark_on(unit_format("$request_uri")) == "a target without a query ends in ?"
    assert remark_on(unit_format("$uri")) == ""
