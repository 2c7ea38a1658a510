"""`ranklight serve`: what it answers, what it refuses, and the page in a real browser."""

import io
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from ranklight.serving.embedding_blocks import EmbeddingBlocks
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.index_building import build_index
from ranklight.serving.picture_search import Limits, PictureSearch
from ranklight.serving.web_page import web_page
from tests.serving.coloured_pictures import (
    ColourModel,
    colours_of,
    draw_pictures,
    write_embeddings,
)
from tests.serving.small_runs import ranklight

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def files(folder):
    return draw_pictures(folder / "pictures")


@pytest.fixture(scope="module")
def address(folder, files):
    """A server of an index of twelve pictures, in this process."""
    labels = [file.stem.split("-")[0] for file in files]
    path = write_embeddings(folder / "all.parquet", files, list(colours_of(files)), label=labels)
    build_index(EmbeddingBlocks(path), folder / "index")
    search = PictureSearch(
        ImageIndex.open(folder / "index"), ColourModel(), Limits(bytes=100_000, pixels=1_000_000)
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = web_page(search, ["127.0.0.1"])
    server = uvicorn.Server(uvicorn.Config(page, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def png(colour=(225, 35, 30), size=(8, 8), mode="RGB"):
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, "PNG")
    return content.getvalue()


def test_an_uploaded_picture_finds_those_of_its_colour(client, files):
    answer = client.post("/search?k=4", content=png()).json()
    names = [Path(image["file"]).name for image in answer["found"]]
    assert {name.split("-")[0] for name in names[:3]} == {"red"}
    assert [image["same"] for image in answer["found"]] == [True, True, True, False]


def test_a_row_is_searched_on_and_filters_hold(client, files):
    row = [file.name for file in files].index("red-1.png")
    answer = client.get(f"/search?row={row}&k=3&where=label=blue").json()
    assert {Path(image["file"]).name.split("-")[0] for image in answer["found"]} == {"blue"}
    every = client.get(f"/search?row={row}&k=200").json()["found"]
    assert sorted(image["row"] for image in every) == [r for r in range(12) if r != row]


def test_the_page_knows_the_index(client):
    about = client.get("/index").json()
    assert about["images"] == 12
    assert about["threshold"] == 0.97
    assert about["columns"] == {"label": ["blue", "green", "red", "yellow"]}


def test_pictures_of_the_index_are_served_as_jpeg(client, files):
    answer = client.get("/images/0")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    pixel = Image.open(io.BytesIO(answer.content)).getpixel((5, 5))
    assert np.abs(np.subtract(pixel, Image.open(files[0]).getpixel((5, 5)))).max() < 8


def test_a_file_that_is_gone_is_said(client, files):
    content = files[3].read_bytes()
    files[3].unlink()
    try:
        answer = client.get("/images/3")
    finally:
        files[3].write_bytes(content)
    assert (answer.status_code, answer.json()["detail"]) == (404, "the file of row 3 is gone")


@pytest.mark.parametrize(
    "path",
    [
        "/images/12",
        "/images/-1",
        "/images/..%2f..%2fetc%2fpasswd",
        "/page/../../setup.cfg",
        "/page/..%2f..%2fsetup.cfg",
        "/page/%2e%2e/%2e%2e/setup.cfg",
        "/etc/passwd",
    ],
)
def test_nothing_but_the_index_is_served(address, path):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        # As it stands: a client would tidy the path.
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"422")
    assert b"root:" not in answer
    assert b"[metadata]" not in answer


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 415, "the upload is not a readable image: it is empty"),
        (b"<script>alert(1)</script>", 415, "it is none of JPEG"),
        (b"\x89PNG\r\n\x1a\n and no more", 415, "the upload is not a readable image"),
        (png(1, (2000, 1000), "1"), 413, "2,000,000 pixels, and may have 1,000,000"),
        (png(1, (20000, 10000), "1"), 415, "more than 178,956,970 pixels"),
        (bytes(100_001), 413, "larger than 100,000 bytes"),
    ],
)
def test_an_upload_that_is_no_picture_is_one_sentence(client, content, status, sentence):
    answer = client.post("/search", content=content)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]
    assert "/tmp" not in answer.text


@pytest.mark.parametrize("path", ["/search?row=12", "/search?row=0&k=0", "/search?row=0&k=999"])
def test_what_is_beyond_the_index_is_refused(client, path):
    assert client.get(path).status_code == 400


def test_k_beyond_the_index_is_one_sentence(client):
    answer = client.post("/search?k=13", content=png())
    assert answer.status_code == 400
    assert "12 images finds 1 to 12, not 13" in answer.json()["detail"]


def test_a_filter_by_no_column_is_refused(client):
    assert "no column file" in client.get("/search?row=0&where=file=x").json()["detail"]


def test_a_name_that_was_made_to_point_here_is_sent_away(client):
    assert client.get("/index", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_address_gets_nothing(client, headers):
    for answer in (
        client.post("/search", content=png(), headers=headers),
        client.get("/images/0", headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    own = {"Sec-Fetch-Site": "same-origin", "Origin": str(client.base_url).rstrip("/")}
    assert client.post("/search?k=1", content=png(), headers=own).status_code == 200


def test_a_file_that_is_broken_by_now_is_said(client, files):
    content = files[2].read_bytes()
    files[2].write_bytes(b"no picture")
    try:
        answer = client.get("/images/2")
    finally:
        files[2].write_bytes(content)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "the file of row 2 cannot be read any more"


def test_a_full_disk_is_one_sentence(client, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ranklight.serving.picture_search.picture_size", full)
    answer = client.post("/search", content=png())
    assert answer.status_code == 507
    assert answer.json()["detail"] == "the upload cannot be read here (No space left on device)"


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(address, capsys):
    port = address.rsplit(":", 1)[1]
    with pytest.raises(SystemExit):
        ranklight("serve", "no-index", "--port", port)
    assert f"127.0.0.1:{port} cannot be listened on" in capsys.readouterr().err


def test_fifty_at_once_lose_nothing(client):
    colours = [(220, 30, 30), (30, 180, 60), (30, 60, 220), (230, 220, 40)]
    first = ["red", "green", "blue", "yellow"]

    def ask(number):
        answer = client.post("/search?k=1", content=png(colours[number % 4]))
        return Path(answer.json()["found"][0]["file"]).name.split("-")[0]

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(ask, range(100)))
    assert found == [first[number % 4] for number in range(100)]


@pytest.fixture(scope="module")
def browser():
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("the page is tried in Chromium: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(option)
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def until(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(condition)


def names_shown(browser):
    script = "return [...document.querySelectorAll('#results .name')].map(e => e.textContent)"
    return browser.execute_script(script)


def test_a_browser_drops_a_picture_and_searches_on(address, browser, tmp_path):
    (tmp_path / "query.png").write_bytes(png())
    browser.set_window_size(1000, 900)
    browser.get(address)
    until(browser, lambda b: "12 images" in b.find_element("id", "about").text)
    browser.find_element("id", "file").send_keys(str(tmp_path / "query.png"))
    until(browser, lambda b: len(names_shown(b)) == 12)
    assert {name.split("-")[0] for name in names_shown(browser)[:3]} == {"red"}
    status = browser.find_element("id", "status")
    assert status.text == "12 found, 3 of them the same"
    assert len(browser.find_elements("css selector", "#results button.same")) == 3
    # The pictures are there, and look as they should.
    script = """
        const image = document.querySelector('#results img');
        if (!image.complete || !image.naturalWidth) return null;
        const canvas = document.createElement('canvas').getContext('2d');
        canvas.drawImage(image, 0, 0);
        return [...canvas.getImageData(3, 3, 1, 1).data];
    """
    red, green, blue, _ = until(browser, lambda b: b.execute_script(script))
    assert red > 200
    assert max(green, blue) < 90

    slide = """
        const slider = document.getElementById('threshold');
        slider.value = -1;
        slider.dispatchEvent(new Event('input'));
    """
    browser.execute_script(slide)
    assert status.text == "12 found, 12 of them the same"

    # Search on by the keyboard: the first result has the focus's next place.
    button = browser.find_elements("css selector", "#results button")[-1]
    name = names_shown(browser)[-1]
    assert "not the same" not in button.accessible_name
    assert button.accessible_name.startswith(name)
    button.send_keys("\n")
    until(browser, lambda b: b.find_element("id", "query").text == name)
    until(browser, lambda b: len(names_shown(b)) == 11)
    assert name.split("-")[0] == names_shown(browser)[0].split("-")[0]

    browser.find_element("css selector", "select[name=label] option[value=green]").click()
    until(browser, lambda b: {shown.split("-")[0] for shown in names_shown(b)} == {"green"})


def test_the_page_fits_a_phone_and_names_what_it_has(address, browser):
    browser.set_window_size(500, 700)
    browser.get(address)
    until(browser, lambda b: "12 images" in b.find_element("id", "about").text)
    width = "return [document.documentElement.scrollWidth, window.innerWidth]"
    scrolled, inner = browser.execute_script(width)
    assert scrolled <= inner
    assert "choose a file" in browser.find_element("id", "file").accessible_name
    assert "Same from similarity" in browser.find_element("id", "threshold").accessible_name
    assert browser.find_element("tag name", "html").get_attribute("lang") == "en"


def test_a_browser_says_what_is_no_picture(address, browser, tmp_path):
    (tmp_path / "fake.png").write_bytes(b"no picture")
    browser.get(address)
    until(browser, lambda b: "12 images" in b.find_element("id", "about").text)
    browser.find_element("id", "file").send_keys(str(tmp_path / "fake.png"))
    until(browser, lambda b: "not a readable image" in b.find_element("id", "status").text)
