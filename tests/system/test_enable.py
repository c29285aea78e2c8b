# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 the nexthop-milter authors
"""contrib/postfix/enable on private Postfix configurations: what it changes,
what it leaves alone, what it finds, and that --undo takes all of it back."""

import os
import shlex
import shutil

import pytest

from enable_site import (FILTER, MAP, MILTER, NEEDS_POSTFIX, Site, postmap,
                         run)

pytestmark = NEEDS_POSTFIX


@pytest.fixture(name="site")
def make_site(tmp_path):
    return lambda **kwargs: Site(tmp_path / "site", **kwargs)


# ---------------------------------------------------------------------------
# Put in, take out

STARTS = {
    "nothing there": "",
    "empty lists": "smtpd_milters =\ntransport_maps =\n",
    "other milters, braces, several lines":
        "smtpd_milters = unix:a/b,\n  # a remark\n"
        "   { unix:c,\n     default_action=accept }\n   inet:localhost:1\n"
        "non_smtpd_milters = $smtpd_milters\n",
    "the same milter in both": "smtpd_milters = unix:d\n"
                               "non_smtpd_milters = unix:d unix:e\n",
    "maps with braces": "transport_maps = inline:{ {a.test = smtp:[b]} , "
                        "c.test=smtp:d }, texthash:/etc/services\n",
    "others are held already": "defer_transports = uucp\n",
    "a status filter": "smtp_delivery_status_filter = "
                       "inline:{ {a = b}, c=d } static:x\n",
}


@pytest.mark.parametrize("main", STARTS.values(), ids=STARTS.keys())
def test_twice_is_once_and_undo_restores_everything(site, main):
    site = site(main=main)
    before = site.meaning()
    site.enable()
    once, files = site.meaning(), site.files()
    assert once != before
    assert "Postfix has it all already" in site.enable()
    assert site.files() == files
    site.enable("--undo")
    assert site.meaning() == before
    assert not site.include.exists()
    assert sorted(os.listdir(site.etc)) == ["main.cf", "master.cf"]
    assert "Postfix has nothing of ours" in site.enable("--undo")


def test_dry_run_changes_nothing_and_its_commands_do_the_same(site):
    site = site(main="smtpd_milters = { unix:it's, default_action=accept }\n")
    before = site.files()
    text = site.enable("--dry-run")
    assert site.files() == before
    site.enable()
    meant, files = site.meaning(), site.files()
    site.enable("--undo", "--dry-run")
    assert site.files() == files
    site.enable("--undo")
    commands = text[text.index("postconf -c"):text.index("note: FILTER")]
    assert run("sh", "-c", commands).returncode == 0
    assert site.meaning() == meant


def test_the_milter_is_last_and_the_others_stay_as_they_were(site):
    others = "unix:a, { unix:b, default_action=accept } inet:localhost:1"
    site = site(main=f"smtpd_milters = {others}\n"
                     "non_smtpd_milters = unix:only\n")
    site.enable()
    assert site.value("smtpd_milters") == f"{others}, {MILTER}"
    assert site.value("non_smtpd_milters") == f"unix:only, {MILTER}"
    assert site.value("transport_maps") == MAP
    assert site.value("defer_transports") == "nexthop-hold"


def test_a_list_that_refers_to_the_other_gets_the_milter_once(site):
    site = site(main="smtpd_milters = unix:a\n"
                     "non_smtpd_milters = ${smtpd_milters}\n")
    site.enable()
    assert site.value("non_smtpd_milters") == "${smtpd_milters}"
    assert site.postconf("-xh", "non_smtpd_milters").count("nexthop") == 1


def test_edited_lists_lose_only_our_items(site):
    site = site(main="smtpd_milters = unix:a\n")
    site.enable()
    site.set(f"smtpd_milters = unix:new, {MILTER} {{ unix:b, x=y }}")
    site.set(f"transport_maps = {MAP}, texthash:/etc/services")
    site.enable("--undo")
    assert site.value("smtpd_milters") == "unix:new { unix:b, x=y }"
    assert site.value("transport_maps") == "texthash:/etc/services"
    assert site.postconf("-n", "non_smtpd_milters") == ""


def test_a_later_run_moves_the_milter_to_the_end_again(site):
    site = site()
    site.enable()
    site.set(f"smtpd_milters = {MILTER}, unix:later")
    site.enable()
    assert site.value("smtpd_milters") == f"unix:later, {MILTER}"
    site.enable("--undo")
    assert site.value("smtpd_milters") == "unix:later"


def test_options_that_somebody_gave_our_milter_stay(site):
    own = MILTER.replace("10s", "99s")
    site = site()
    site.enable()
    site.set(f"smtpd_milters = {own}")
    site.enable()
    site.enable()
    assert site.value("smtpd_milters") == own


def test_undo_works_without_its_record(site):
    site = site(main="smtpd_milters = unix:a\n")
    before = site.meaning()
    site.enable()
    (site.etc / "nexthop_enable.state").unlink()
    site.enable("--undo")
    assert site.meaning() == before


def test_another_socket_takes_the_place_of_the_old_one(site):
    site = site()
    before = site.meaning()
    site.enable()
    site.enable("--map-socket", "inet:4001@localhost",
                "--milter-socket", "inet:4000@[::1]", "--transport", "other")
    assert site.value("transport_maps") == \
        "socketmap:inet:127.0.0.1:4001:transport"
    assert site.value("smtpd_milters").startswith("{ inet:[::1]:4000, ")
    assert site.value("smtpd_milters").count("default_action") == 1
    assert "unmatched" in site.postconf("-M", "nexthop/unix")
    assert "smtp_helo_timeout=5s" in site.postconf("-M", "other/unix")
    site.enable("--undo")
    assert site.meaning() == before


def test_an_edited_status_filter_is_kept(site):
    site = site()
    site.enable()
    path = site.etc / "nexthop_status_filter"
    assert path.read_text() == FILTER.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    path.write_text("# mine\n")
    assert "was edited" in site.enable()
    site.enable("--undo")
    assert path.read_text() == "# mine\n"


# ---------------------------------------------------------------------------
# The service

@pytest.mark.parametrize("chroot", ["y", "n", "-"])
def test_the_service_is_chrooted_as_smtp_is(site, chroot):
    site = site(chroot=chroot)
    site.enable()
    fields = site.postconf("-M", "nexthop/unix").split()
    assert fields[:8] == ["nexthop", "unix", "-", "-", chroot, "-", "-",
                          "smtp"]
    # What Postfix makes of the paths does not depend on it.
    assert site.value("transport_maps") == MAP


def test_the_service_has_short_timeouts_and_no_shared_sessions(site):
    site = site(main="smtp_delivery_status_filter = inline:{ a=b, c=d }\n")
    site.enable()
    options = dict(line.split(" =", 1) for line in
                   site.postconf("-P", "nexthop/unix/*").splitlines())
    assert {name.rsplit("/", 1)[1]: value.strip()
            for name, value in options.items()} == {
        "syslog_name": "postfix/nexthop",
        "smtp_connect_timeout": "5s", "smtp_helo_timeout": "5s",
        "smtp_starttls_timeout": "30s", "smtp_mail_timeout": "30s",
        "smtp_rcpt_timeout": "30s", "smtp_data_init_timeout": "30s",
        "smtp_rset_timeout": "30s", "smtp_quit_timeout": "30s",
        "smtp_connection_cache_on_demand": "no",
        "smtp_connection_cache_destinations": "",
        "smtp_fallback_relay": "", "smtp_host_lookup": "dns,native",
        "smtp_delivery_status_filter":
            "regexp:${config_directory}/nexthop_status_filter "
            "inline:{ a=b, c=d }"}


def test_a_service_of_that_name_that_is_not_ours_is_refused(site):
    site = site(master="nexthop unix - n n - - pipe flags=F user=nobody "
                       "argv=/bin/true\n")
    before = site.files()
    assert "not ours" in site.enable(want=1)
    assert site.files() == before
    site.enable("--transport", "relay-out")
    assert site.value("defer_transports") == "relay-out-hold"
    site.enable("--transport", "relay-two")
    assert site.value("defer_transports") == "relay-two-hold"
    assert "relay-out/" not in site.postconf("-M")
    site.enable("--undo")
    assert site.value("defer_transports") == ""
    assert "argv=/bin/true" in site.postconf("-M", "nexthop/unix")


# ---------------------------------------------------------------------------
# Refused

def test_an_old_postfix_is_refused_in_words(site, tmp_path):
    site = site()
    (tmp_path / "postconf").write_text("#!/bin/sh\necho 3.4.23\n")
    (tmp_path / "postconf").chmod(0o755)
    before = site.files()
    text = site.enable(want=1, env=dict(
        os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))
    assert "Postfix 3.4.23" in text and "3.5" in text
    assert site.files() == before


@pytest.mark.parametrize("version", ["3.5.0", "3.12-20260821", "4.0.1"])
def test_newer_versions_are_not_refused_for_their_number(site, tmp_path,
                                                         version):
    site = site()
    fake = tmp_path / "postconf"
    fake.write_text('#!/bin/sh\ncase " $* " in *" mail_version "*) '
                    f'echo {version} ;; *) exec {shutil.which("postconf")} '
                    '"$@" ;; esac\n')
    fake.chmod(0o755)
    site.enable("--dry-run", env=dict(
        os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))


def test_a_socket_out_of_reach_of_a_chroot_jail_is_refused(site):
    site = site()
    outside = ("--map-socket", "unix:/run/elsewhere/map")
    before = site.files()
    text = site.enable(*outside, want=1)
    assert "trivial-rewrite" in text and "chroot" in text
    assert site.files() == before


def test_without_chroot_any_path_is_good(site):
    site = site(chroot="n")
    site.enable("--map-socket", "unix:/run/elsewhere/map")
    assert site.value("transport_maps") == \
        "socketmap:unix:/run/elsewhere/map:transport"


@pytest.mark.parametrize("address", ["/run/map", "unix:map", "inet:25",
                                     "unix:/a b", "unix:/a,b"])
def test_what_is_no_socket_is_refused(site, address):
    assert address in site(chroot="n").enable("--map-socket", address, want=1)


def test_wrong_usage_is_exit_2(site):
    assert "usage:" in site().enable("--nonsense", want=2)


# ---------------------------------------------------------------------------
# nexthop.conf and the file that it includes

def test_sockets_and_transport_come_from_nexthop_conf(site):
    site = site()
    site.conf.write_text(
        f'milter_socket : "unix:{site.queue}/x/" "m"; // the path in two\n'
        f'map_socket = "inet:4001@127.0.0.1"; transport = "mine" // end\n'
        f'# milter_socket = "unix:/wrong";\n'
        f'/* map_socket = "unix:/wrong2";\n map_socket = "unix:/wrong3"; */\n'
        f'log = {{ map_socket = "unix:/wrong4"; }};\n'
        f'@include "postfix.conf"\n')
    text = site.enable()
    assert site.value("smtpd_milters").startswith("{ unix:x/m, ")
    assert site.value("transport_maps") == \
        "socketmap:inet:127.0.0.1:4001:transport"
    assert site.postconf("-M", "mine/unix") != ""
    assert site.value("defer_transports") == "mine-hold"
    assert "add this line" not in text and "has to say" not in text


def test_what_nexthop_conf_lacks_is_said(site):
    site = site()
    site.conf.write_text('not_routed = [ "a" ];\n# @include "postfix.conf"\n')
    text = site.enable()
    assert '@include "postfix.conf"' in text
    assert 'transport = "nexthop";' in text
    assert "not_routed itself" in text


def test_the_domains_of_this_machine_are_not_routed(site, tmp_path):
    (tmp_path / "more").write_text("# remark\nfile.test other.test\n")
    (tmp_path / "boxes").write_text("hash.test x\nuser@no.test y\n")
    assert postmap(tmp_path, f"hash:{tmp_path}/boxes") == ""
    site = site(main=f"mydestination = $myhostname, LOCAL.test {tmp_path}/more"
                     f" regexp:/some/where\nproxy_interfaces = 192.0.2.7\n"
                     f"virtual_mailbox_maps = hash:{tmp_path}/boxes\n")
    text = site.enable()
    assert site.not_routed() == [
        "mx.example.net", "local.test", "file.test", "other.test",
        "hash.test", "[127.0.0.1]", "[ipv6:::1]", "[192.0.2.7]"]
    assert "regexp:/some/where cannot be listed" in text
    assert "no.test" not in text


@pytest.mark.parametrize("protocols, family", [
    ("ipv4", "ipv4"), ("ipv6", "ipv6"), ("ipv6, ipv4", "any")])
def test_the_address_family_is_that_of_postfix(site, protocols, family):
    if family != "ipv4" and not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    site = site(main=f"inet_interfaces = all\ninet_protocols = {protocols}\n")
    site.enable()
    assert f'address_family = "{family}";' in site.include.read_text()


def test_undo_empties_a_file_that_nexthop_conf_includes(site):
    site = site()
    site.conf.write_text('@include "postfix.conf"\ntransport = "nexthop";\n')
    site.enable()
    assert "mx.example.net" in site.not_routed()
    site.enable("--undo")
    assert site.include.read_text().count("\n") == 1
    assert site.include.read_text().startswith("#")


# ---------------------------------------------------------------------------
# Filters that would show the milter each message twice

BACK = "127.0.0.1:10025 inet n - n - - smtpd "
REINJECTION = {
    "empty content_filter": (BACK + "-o content_filter=\n", True),
    "receive_override_options": (
        BACK + "-o receive_override_options=no_unknown_recipient_checks\n",
        True),
    "loopback only": (BACK + "-o mynetworks=127.0.0.0/8\n", True),
    "a port of its own": ("10026 inet n - n - - smtpd\n", True),
    "no_milters": (BACK + "-o content_filter= -o receive_override_options="
                   "no_address_mappings,no_milters\n", False),
    "no smtpd_milters": (BACK + "-o content_filter= -o smtpd_milters=\n",
                         False),
    "submission": ("submission inet n - n - - smtpd\n", False),
}


@pytest.mark.parametrize("master, found", REINJECTION.values(),
                         ids=REINJECTION.keys())
def test_services_behind_a_content_filter_are_found(site, master, found):
    site = site(main="content_filter = scan:[127.0.0.1]:10024\n",
                master=master)
    text = site.enable()
    assert "main.cf: content_filter = scan:" in text
    assert ("a second time" in text) == found
    assert "FILTER actions" in text
    assert site.postconf("-P").count("no_milters") == \
        master.count("no_milters")
    if found:
        remedy = next(line for line in text.splitlines()
                      if "postconf" in line and "no_milters" in line)
        assert run(*shlex.split(remedy)).returncode == 0
        assert "a second time" not in site.enable()


def test_a_filter_of_one_service_is_found(site):
    site = site(master="submission inet n - n - - smtpd "
                       "-o content_filter=scan:x\n" + BACK + "\n")
    text = site.enable()
    assert "submission/inet has content_filter = scan:x" in text
    assert "127.0.0.1:10025/inet takes mail back" in text


@pytest.mark.parametrize("options, complains", [
    ("", False), ("-o receive_override_options=no_milters", True)])
def test_behind_a_proxy_filter_the_milter_belongs_to_the_second_smtpd(
        site, options, complains):
    site = site(main="smtpd_proxy_filter = 127.0.0.1:10024\n",
                master=BACK + options + "\n")
    text = site.enable()
    assert "a second time" not in text
    assert ("the milter belongs there" in text) == complains


def test_services_with_milters_of_their_own_are_named(site):
    site = site(master="submission inet n - n - - smtpd "
                       "-o smtpd_milters=unix:dkim\n"
                       "smtps inet n - n - - smtpd "
                       "-o smtpd_milters=unix:dkim,{unix:nexthop/milter}\n")
    text = site.enable()
    assert "submission/inet has its own smtpd_milters (unix:dkim)" in text
    assert "smtps/inet has its own" not in text


def test_other_transport_maps_are_explained(site):
    text = site(main="transport_maps = texthash:/etc/services, "
                     "regexp:/dev/null\n").enable()
    assert "domains of texthash:/etc/services give way" in text
    assert "regexp:/dev/null answers for a full address goes before" in text


@pytest.mark.parametrize("main, found", [
    ("", "warning: fast_flush_domains is empty"),
    ("relay_domains = a.test\nfast_flush_domains =\n",
     "warning: fast_flush_domains is empty"),
    ("relay_domains = a.test, b.test\n",
     "fast_flush_domains (a.test, b.test); if it does not list"),
])
def test_what_the_flush_service_serves_is_said(site, main, found):
    site = site(main=main)
    before = site.value("fast_flush_domains")
    text = site.enable()
    assert found in text
    assert site.value("fast_flush_domains") == before
    assert "= $relay_domains, example.com" in text.replace("=$", "= $")
