"""WhiteNoise around a WSGI application, with files that are made when it starts: plain, compressed, immutable."""

import gzip
import re

from whitenoise import WhiteNoise

from tests.frameworks.validated import validated as validate
from tests.frameworks.wsgi_app import wsgi_app
from tests.frameworks.wsgi_common import FILES, report_shutdown

report_shutdown()

SCRIPT = b"console.log('hello');\n" * 1000

root = FILES / "whitenoise"
root.mkdir(exist_ok=True)
(root / "app.js").write_bytes(SCRIPT)
(root / "app.js.gz").write_bytes(gzip.compress(SCRIPT))
(root / "app.0123456789ab.css").write_text("p { color: red }\n")
(root / "index.html").write_text("<p>index</p>\n")
(root / "empty.txt").touch()


def immutable(path: str, url: str) -> bool:
    return re.search(r"\.[0-9a-f]{12}\.", url) is not None


app = WhiteNoise(wsgi_app, root=str(root), prefix="assets/", index_file=True, immutable_file_test=immutable)
app.add_files(str(FILES), prefix="more/")

validated = validate(app)
