"""The description of what hublet serves: an OpenAPI document, and JSON Schemas with samples."""
