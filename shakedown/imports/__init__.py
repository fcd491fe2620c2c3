"""First plans from what is there already: a Compose file, an OpenAPI document, a browser's recording (HAR), a curl command.

=============  =========================================================================
openapi        a request for each operation      parameters, bodies, values, patterns, security, refs
har            a recorded session as a sequence
curl           commands as requests              curl_options, shell beside it
compose        a project's services, a load, an experiment for each dependency
draft          what an importer finds
writer         a draft as the text of a plan
parts          path, headers and body of a recorded request
text           recorded text made literal: `$` and `{{` mean nothing in it
vault          secrets replaced by variables
addresses      scheme, host and port
source         files: JSON, YAML, encodings, sizes
=============  =========================================================================
"""

from shakedown.imports.compose import import_compose
from shakedown.imports.curl import import_curl
from shakedown.imports.draft import Draft, ImportOptions
from shakedown.imports.har import import_har
from shakedown.imports.openapi import import_openapi
from shakedown.imports.writer import write_plan

__all__ = ["Draft", "ImportOptions", "import_compose", "import_curl", "import_har", "import_openapi", "write_plan"]
