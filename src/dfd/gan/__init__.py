"""A style-based generator, its hybrid discriminator, and what their training needs. Imports no detector."""
