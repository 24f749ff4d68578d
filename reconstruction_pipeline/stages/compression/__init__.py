"""Delivery: small files made of the splats, measured again, and the page that shows them."""
