"""Describes: what hublet serves, as an OpenAPI document and as JSON Schemas with samples."""
