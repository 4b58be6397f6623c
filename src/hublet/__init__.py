# SPDX-License-Identifier: Apache-2.0
"""hublet: a local caching sync daemon for Continue Hub assistants."""

__version__ = "0.1.0"
