#!/bin/sh
# Installs into /opt/dokuei, in a build stage: no pip in it, bytecode compiled. uv and cyclonedx-py are beside it.
#
#     install.sh dependencies EXTRAS    what pyproject.toml names, with a bill of materials beside it
#     install.sh package                the code alone: a layer of its own, so a new version is a small one
#
# pip's configuration and certificates are secrets of the build (images/build.py).
set -eu
export PIP_CONFIG_FILE=/run/secrets/pip PIP_CACHE_DIR=/root/.cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy
constraints="--constraint constraints.txt --constraint constraints-gpu.txt"
python=/opt/dokuei/bin/python
python3 -m venv --without-pip /opt/dokuei
python3 -m venv /opt/tools
sed -n '/^uv==/,/[^\\]$/p' constraints.txt > uv.txt
/opt/tools/bin/pip install --quiet --requirement uv.txt
install="/opt/tools/bin/python install.py --quiet $constraints"

if [ "$1" = dependencies ]; then
    python3 - "$2" > requirements.txt <<'END'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = [name for extra in sys.argv[1].split(",") for name in project["optional-dependencies"][extra]]
print(*project["dependencies"], *extras, sep="\n")
END
    $install --python $python --requirement requirements.txt
    # It compiles kernels for GPUs at run time: a compiler of 1 GB, which torch imports only when asked to compile.
    /opt/tools/bin/uv pip uninstall --quiet --python $python triton
    $install --python /opt/tools/bin/python cyclonedx-bom
    /opt/tools/bin/cyclonedx-py environment --output-reproducible --output-file /opt/dokuei/sbom.cdx.json $python
else
    $install --python $python --no-deps .
fi
# Told apart by hash, which is not checked: files may change their times on the way into an image, and at run time
# nothing can be written. torch has files in the syntax of newer Pythons, which do not compile.
python3 -m compileall -qq --invalidation-mode unchecked-hash /opt/dokuei/lib || true
